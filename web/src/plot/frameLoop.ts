/**
 * Draws when something changed, all views in the same frame: at most 30 times per second, and less often where drawing
 * is slow, so that a weak laptop keeps a third of its time for the person.
 */
export class FrameLoop {
  private static readonly PERIOD_MS = 1000 / 30 - 3; // Less than two frames of a 60 Hz screen.
  private static readonly SLOWEST_MS = 200;
  private readonly views = new Set<() => void>();
  private isDirty = false;
  private isScheduled = false;
  private drawnMs = -Infinity;
  private hasJustDrawn = false;
  /** Smoothed time from a drawn frame to the next one: drawing, painting and all. */
  private costMs = 0;

  add(draw: () => void): () => void {
    this.views.add(draw);
    this.dirty();
    return () => this.views.delete(draw);
  }

  dirty(): void {
    this.isDirty = true;
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(this.frame);
  }

  private readonly frame = (nowMs: number): void => {
    this.isScheduled = false;
    const sinceMs = nowMs - this.drawnMs;
    if (this.hasJustDrawn) {
      this.hasJustDrawn = false;
      // A tab that was hidden tells nothing about the cost.
      this.costMs += 0.2 * (Math.min(sinceMs, FrameLoop.SLOWEST_MS) - this.costMs);
    }
    if (!this.isDirty) return;
    if (sinceMs >= Math.min(FrameLoop.SLOWEST_MS, Math.max(FrameLoop.PERIOD_MS, 1.5 * this.costMs))) {
      this.drawnMs = nowMs;
      this.isDirty = false;
      this.hasJustDrawn = true;
      for (const draw of this.views) draw();
    }
    this.schedule(); // For the next try, or to see what this one cost.
  };
}
