import type { Moved } from "../protocol/messages";
import { clampRange, panRange, zoomRange, type TimeRange } from "./timeRange";

/** What the time line needs of the samples. */
export interface TimeSource {
  /** Keeps a copy of the samples up to `edgeUs` in view, whatever arrives. */
  freeze(edgeUs: number): void;
  unfreeze(): void;
  /** Something to draw changed. */
  dirty(): void;
  /** The view stands still at another time than before, or follows the edge again. */
  moved(): void;
  /** Nothing before this time can be shown. */
  limitUs(): number;
}

/**
 * The one time axis of the page: live it follows the edge, paused it stands still; one cursor for all panels.
 *
 * `cursorUs` is where a pointer rests (null: nowhere), `anchorUs` the second cursor that deltas are measured from. Times
 * are UTC in µs.
 */
export class Timeline {
  cursorUs = $state<number | null>(null);
  anchorUs = $state<number | null>(null);
  windowUs = $state(60e6);
  /** null while live, else the part in view. */
  paused = $state.raw<TimeRange | null>(null);
  readonly isPaused = $derived(this.paused !== null);
  private edge = -Infinity;
  private frozenEdge = -Infinity;
  /** The earliest time that was in view since the pause. */
  private reach = Infinity;

  constructor(private readonly source: TimeSource) {}

  /** Time of the newest sample, -Infinity before the first. Not reactive: read it when drawing. */
  get edgeUs(): number {
    return this.edge;
  }

  raiseEdge(us: number | null): void {
    if (us !== null && us > this.edge) this.edge = us;
  }

  reset(): void {
    this.goLive();
    this.edge = -Infinity;
  }

  /** All comes anew; a paused view stays where it is, on the same samples where a better clock moved them. */
  restart(moved: Moved | null): void {
    this.edge = -Infinity;
    if (this.paused === null || moved === null || this.frozenEdge < moved.from_utc_us) return;
    const by = moved.by_us;
    this.frozenEdge += by;
    this.reach += by;
    this.paused = { fromUs: this.paused.fromUs + by, toUs: this.paused.toUs + by };
    if (this.anchorUs !== null) this.anchorUs += by;
    if (this.cursorUs !== null) this.cursorUs += by;
  }

  /** All that was in view: the window, and what lies further back where the view went there. */
  bounds(): TimeRange {
    return this.isPaused ? { fromUs: this.reach, toUs: this.frozenEdge } : { fromUs: this.edge - this.windowUs, toUs: this.edge };
  }

  /** From here on a view that stands still needs all samples; null while live. */
  get neededFromUs(): number | null {
    return this.isPaused ? this.reach : null;
  }

  /** The part in view; follows the live edge unless paused. Call it when drawing: it is not reactive while live. */
  range(): TimeRange {
    return this.paused ?? this.bounds();
  }

  /** Where values are read: at the cursor, else at the right end of what is in view. */
  readUs(): number {
    return this.cursorUs ?? this.range().toUs;
  }

  toggle(): void {
    if (this.isPaused) this.goLive();
    else this.pause();
  }

  pause(): void {
    if (this.isPaused || !Number.isFinite(this.edge)) return;
    this.frozenEdge = this.edge;
    this.source.freeze(this.edge);
    this.paused = this.bounds();
    this.reach = this.paused.fromUs;
    this.source.moved();
    this.source.dirty();
  }

  goLive(): void {
    this.source.unfreeze();
    this.paused = null;
    this.source.moved();
    this.source.dirty();
  }

  /** Pauses and shows this part of time, at or before the edge of the pause; it may lie before the window. */
  show(range: TimeRange): void {
    this.pause();
    if (!this.isPaused) return;
    this.paused = clampRange(range, this.reachable());
    this.reach = Math.min(this.reach, this.paused.fromUs);
    this.source.moved();
    this.source.dirty();
  }

  private reachable(): TimeRange {
    return { fromUs: Math.min(this.reach, this.source.limitUs()), toUs: this.frozenEdge };
  }

  showAll(): void {
    if (this.isPaused) this.show(this.bounds());
  }

  /** `factor` < 1 comes nearer. */
  zoom(factor: number, aboutUs?: number): void {
    this.pause();
    if (this.paused === null) return;
    const { fromUs, toUs } = this.paused;
    this.show(zoomRange(this.paused, factor, aboutUs ?? (fromUs + toUs) / 2, this.bounds()));
  }

  /** Moves by a fraction of what is in view; back (below 0) also from the live edge. */
  pan(fraction: number): void {
    if (fraction < 0) this.pause();
    if (this.paused !== null) this.show(panRange(this.paused, fraction, this.reachable()));
  }

  /** The pointer rests at another time, or nowhere. */
  point(us: number | null): void {
    if (us === this.cursorUs) return;
    this.cursorUs = us;
    this.source.dirty();
  }

  /** Sets the second cursor where values are read, or takes it away. */
  toggleAnchor(): void {
    this.anchorUs = this.anchorUs === null && Number.isFinite(this.readUs()) ? this.readUs() : null;
    this.source.dirty();
  }
}
