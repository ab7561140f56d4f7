import type { TimeRange } from "./timeRange";

/** As the server chooses the width of buckets (docs/spec/live.md). */
const MAX_BUCKETS_PER_CHANNEL = 12_000;
const MAX_BUCKETS = 1_000_000;
const LONG_WINDOW_S = 3600;
const OVERVIEW_WINDOW_S = 10_800;
const OVERVIEW_US = 10e6;
const MIN_WINDOW_S = 1;
/** On each side of what is in view, in parts of it: to move about in. */
const MARGIN = 1;
/** Samples that are not finer by this are not worth the wait. */
const GAIN = 1.5;

/** A part of time, and how fine its samples are. */
export interface Part extends TimeRange {
  readonly bucketUs: number;
}

/** What is watched: at which rate, how many channels, and seconds of window up to the live edge. */
export interface Watched {
  readonly rateHz: number;
  readonly channels: number;
  readonly windowS: number;
}

export function bucketUsOf({ rateHz, channels, windowS }: Watched): number {
  const askedUs = Math.round(1e6 / rateHz);
  const most = Math.min(MAX_BUCKETS_PER_CHANNEL, Math.floor(MAX_BUCKETS / Math.max(channels, 1)));
  const leastUs = Math.ceil((windowS * 1e6) / most);
  const needed = Math.max(askedUs, leastUs);
  if (windowS > OVERVIEW_WINDOW_S) return Math.ceil(needed / OVERVIEW_US) * OVERVIEW_US;
  return leastUs > askedUs || windowS > LONG_WINDOW_S ? Math.ceil(needed / 1000) * 1000 : askedUs;
}

/** The part of the past to ask for so that `range` is finer; null where it is fine enough. `before`: the part asked for last. */
export function closerPart(range: TimeRange, watched: Watched, before: Part | null): Part | null {
  const spanUs = range.toUs - range.fromUs;
  const windowS = Math.max(MIN_WINDOW_S, Math.ceil(((1 + 2 * MARGIN) * spanUs) / 1e6));
  if (windowS >= watched.windowS) return null;
  const bucketUs = bucketUsOf({ ...watched, windowS });
  if (bucketUsOf(watched) < GAIN * bucketUs) return null;
  if (before !== null && before.fromUs <= range.fromUs && range.toUs <= before.toUs && before.bucketUs < GAIN * bucketUs) return before;
  const toUs = Math.round((range.fromUs + range.toUs + windowS * 1e6) / 2);
  return { fromUs: toUs - windowS * 1e6, toUs, bucketUs };
}
