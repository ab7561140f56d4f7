/** The part of time in view, in microseconds of UTC. */
export interface TimeRange {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Shortest view that zooming reaches. */
export const MIN_SPAN_US = 20_000;

/** Moves and cuts `range` so that it lies inside `bounds`, at least MIN_SPAN_US long. */
export function clampRange(range: TimeRange, bounds: TimeRange): TimeRange {
  const whole = bounds.toUs - bounds.fromUs;
  const span = Math.min(whole, Math.max(MIN_SPAN_US, range.toUs - range.fromUs));
  const middle = (range.fromUs + range.toUs) / 2;
  const fromUs = Math.min(Math.max(middle - span / 2, bounds.fromUs), bounds.toUs - span);
  return { fromUs, toUs: fromUs + span };
}

/** Zooms by `factor` (< 1 comes nearer) about a time that stays where it is. */
export function zoomRange(range: TimeRange, factor: number, aboutUs: number, bounds: TimeRange): TimeRange {
  const fromUs = aboutUs - (aboutUs - range.fromUs) * factor;
  return clampRange({ fromUs, toUs: fromUs + (range.toUs - range.fromUs) * factor }, bounds);
}

/** Moves by a fraction of the span in view. */
export function panRange(range: TimeRange, fraction: number, bounds: TimeRange): TimeRange {
  const by = (range.toUs - range.fromUs) * fraction;
  return clampRange({ fromUs: range.fromUs + by, toUs: range.toUs + by }, bounds);
}
