/** Ranges of the y axes. */

export interface Range {
  readonly low: number;
  readonly high: number;
}

const NICE = [1, 2, 2.5, 5, 10] as const;

/** The smallest of 1, 2, 2.5, 5 × a power of ten that is at least `value` (> 0). */
export function niceStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const factor of NICE) if (factor * power >= value * (1 - 1e-12)) return factor * power;
  return 10 * power;
}

/** Round radii of circles up to `reach`, some eight at most. */
export function circlesTo(reach: number): number[] {
  const step = Math.max(0.5, niceStep(reach / 8));
  return Array.from({ length: Math.floor(reach / step + 1e-9) }, (_, i) => (i + 1) * step);
}

/**
 * A range around the data on whole steps, so that an axis stays still while the data moves within it. Flat data sits in
 * the middle of a range of its own size.
 */
export function niceRange(minimum: number, maximum: number): Range {
  if (!Number.isFinite(minimum) || !Number.isFinite(maximum) || minimum > maximum) return { low: 0, high: 1 };
  let span = maximum - minimum;
  const size = Math.max(Math.abs(minimum), Math.abs(maximum));
  if (span <= size * 1e-9) span = size > 0 ? size * 0.2 : 1;
  const step = niceStep(span / 6);
  const margin = maximum - minimum > 0 ? 0.02 * span : 0.5 * span;
  const low = Math.floor((minimum - margin) / step) * step;
  const high = Math.ceil((maximum + margin) / step) * step;
  // Data that never goes below zero is not given a negative axis for the sake of a margin.
  return { low: minimum >= 0 && low < 0 ? 0 : low, high: maximum <= 0 && minimum < 0 && high > 0 ? 0 : high };
}

/** Keeps `before` while the new range lies inside and fills more than half of it: an axis that does not twitch. */
export function steadyRange(before: Range | null, next: Range): Range {
  if (before === null) return next;
  const isInside = next.low >= before.low && next.high <= before.high;
  return isInside && next.high - next.low > 0.55 * (before.high - before.low) ? before : next;
}
