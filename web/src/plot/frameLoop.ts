/** Draws when something changed, at most 30 times per second, all views in the same frame. */
export class FrameLoop {
  private readonly views = new Set<() => void>();
  private isDirty = false;
  private isScheduled = false;
  private drawnMs = -Infinity;
  private static readonly PERIOD_MS = 1000 / 30 - 3; // Less than two frames of a 60 Hz screen.

  add(draw: () => void): () => void {
    this.views.add(draw);
    this.dirty();
    return () => this.views.delete(draw);
  }

  dirty(): void {
    this.isDirty = true;
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(this.frame);
  }

  private readonly frame = (nowMs: number): void => {
    this.isScheduled = false;
    if (!this.isDirty) return;
    if (nowMs - this.drawnMs < FrameLoop.PERIOD_MS) {
      this.isScheduled = true;
      requestAnimationFrame(this.frame);
      return;
    }
    this.drawnMs = nowMs;
    this.isDirty = false;
    for (const draw of this.views) draw();
  };
}
