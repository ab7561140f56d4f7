import { positionsOf } from "./positions";
import type { Lap, Series } from "./rest";

/** Laps laid over each other: pure functions on the columns of one lap. */

const METRES_PER_DEGREE = 111_320;

/** One lap on its own time and distance. Distances are scaled to 0 … 1: laps of a slightly different way compare place by place. */
export interface LapTrace {
  readonly lap: Lap;
  /** Seconds since the lap began, and the part of the way that was done then; both never decrease. */
  readonly seconds: Float64Array;
  readonly parts: Float64Array;
  /** False: there are no positions, and the way is taken to grow evenly. */
  readonly isPlaced: boolean;
}

/** Time against way, from the positions; without usable positions the way is taken to grow evenly. */
export function traceOf(lap: Lap, latitude: Series | undefined, longitude: Series | undefined): LapTrace {
  const times: number[] = [];
  const way: number[] = [];
  let metres = 0;
  positionsOf(latitude, longitude).forEach((here, i, all) => {
    const before = all[i - 1];
    if (before !== undefined) {
      const narrow = Math.cos((here.latitude * Math.PI) / 180);
      metres += Math.hypot((here.latitude - before.latitude) * METRES_PER_DEGREE, (here.longitude - before.longitude) * METRES_PER_DEGREE * narrow);
    }
    times.push((here.us - lap.utc_from_us) / 1e6);
    way.push(metres);
  });
  if (times.length < 2 || metres === 0) return { lap, seconds: Float64Array.of(0, lap.time_s), parts: Float64Array.of(0, 1), isPlaced: false };
  return {
    lap,
    seconds: Float64Array.from([0, ...times, Math.max(lap.time_s, times.at(-1)!)]),
    parts: Float64Array.from([0, ...way.map((one) => one / metres), 1]),
    isPlaced: true,
  };
}

/** How far before its end the samples of a lap may stop. */
const END_US = 1e6;

/** Whether the store has the lap to its end: of one that was finished a moment ago, the last seconds are still on their way. */
export function reachesEnd(lap: Lap, series: Iterable<Series>): boolean {
  for (const { t_us, last } of series) {
    const newest = last.findLastIndex((value) => value !== null);
    if (newest >= 0 && t_us[newest]! >= lap.utc_to_us - END_US) return true;
  }
  return false;
}

/** `y` at `at`, on the line through (x, y); x never decreases. */
export function interpolate(x: Float64Array, y: Float64Array, at: number): number {
  let low = 0;
  let high = x.length - 1;
  if (at <= x[0]!) return y[0]!;
  if (at >= x[high]!) return y[high]!;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (x[middle]! <= at) low = middle;
    else high = middle;
  }
  const span = x[high]! - x[low]!;
  return span > 0 ? y[low]! + ((at - x[low]!) / span) * (y[high]! - y[low]!) : y[high]!;
}

export const partAt = (trace: LapTrace, seconds: number): number => interpolate(trace.seconds, trace.parts, seconds);

export const secondsAt = (trace: LapTrace, part: number): number => interpolate(trace.parts, trace.seconds, part);

/** Seconds that the lap is behind the reference (negative: ahead) at equal places, at `n` places from 0 to 1. */
export function deltas(trace: LapTrace, reference: LapTrace, n: number): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => secondsAt(trace, i / (n - 1)) - secondsAt(reference, i / (n - 1)));
}

/** Values of a channel against seconds of the lap; null values are left out. */
export function valuesOf(lap: Lap, series: Series | undefined): { readonly seconds: Float64Array; readonly values: Float64Array } {
  const kept = (series?.t_us ?? []).map((us, i) => [(us - lap.utc_from_us) / 1e6, series!.last[i] ?? null] as const).filter((pair): pair is readonly [number, number] => pair[1] !== null);
  return { seconds: Float64Array.from(kept, ([one]) => one), values: Float64Array.from(kept, ([, one]) => one) };
}
