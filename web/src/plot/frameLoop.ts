/** Gets ready what the views draw, then calls `draw`, at once or later. */
export type Prepare = (draw: () => void) => void;

/**
 * Draws when something changed, all views in the same frame: at most 60 times per second, and less often where drawing
 * is slow, so that a weak laptop keeps a third of its time for the person.
 */
export class FrameLoop {
  private static readonly PERIOD_MS = 1000 / 60 - 3; // Less than one frame of a 60 Hz screen.
  private static readonly SLOWEST_MS = 200;
  /** After so long a rest, what a person does is not kept waiting for a frame of the screen. */
  private static readonly RESTED_MS = 50;
  /** From drawing to the next frame of the screen: longer than this, and the machine is busy with it. */
  private static readonly EASY_MS = 25;
  private readonly views = new Set<() => void>();
  private isDirty = false;
  private isScheduled = false;
  private askedMs = -Infinity;
  private drewMs = Infinity;
  private hasJustDrawn = false;
  /** Smoothed time from drawing to the next frame of the screen: drawing, painting and all. */
  private costMs = 0;
  private isPreparing = false;

  constructor(
    private readonly prepare: Prepare = (draw) => draw(),
    private readonly clock: () => number = () => performance.now(),
  ) {}

  add(draw: () => void): () => void {
    this.views.add(draw);
    this.dirty();
    return () => this.views.delete(draw);
  }

  dirty(): void {
    this.isDirty = true;
    const nowMs = this.clock();
    if (this.isScheduled || this.isPreparing || nowMs - this.drewMs < FrameLoop.RESTED_MS || document.hidden) return this.schedule();
    this.isScheduled = true;
    queueMicrotask(() => this.frame(nowMs));
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(this.frame);
  }

  private readonly frame = (nowMs: number): void => {
    this.isScheduled = false;
    if (this.hasJustDrawn) {
      this.hasJustDrawn = false;
      // A tab that was hidden tells nothing about the cost.
      this.costMs += 0.2 * (Math.min(this.clock() - this.drewMs, FrameLoop.SLOWEST_MS) - this.costMs);
    }
    if (!this.isDirty || this.isPreparing) return;
    const restMs = this.costMs > FrameLoop.EASY_MS ? 1.5 * this.costMs : 0;
    if (nowMs - this.askedMs >= Math.min(FrameLoop.SLOWEST_MS, Math.max(FrameLoop.PERIOD_MS, restMs))) {
      this.askedMs = nowMs;
      this.isDirty = false;
      this.isPreparing = true;
      this.prepare(this.draw);
    }
    this.schedule(); // For the next try, or to see what this one cost.
  };

  private readonly draw = (): void => {
    this.isPreparing = false;
    this.hasJustDrawn = true;
    this.drewMs = this.clock();
    for (const draw of this.views) {
      try {
        draw();
      } catch (error) {
        reportError(error); // Told as any other fault of the page; the other panels go on.
      }
    }
    this.schedule();
  };
}
