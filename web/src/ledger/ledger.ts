import { getJson } from "../protocol/rest";
import type { TimeRange } from "../time/timeRange";

/** Places where frames are lost, as the server names them. */
export const PLACES = ["kernel", "source_queue", "car_disk", "car_crash", "bus_down", "way"] as const;
export type Place = (typeof PLACES)[number];

/** What became of the frames of a time range: frames per bucket (docs/spec/health.md). */
export interface Ledger {
  readonly from_utc_us: number;
  readonly bucket_us: number;
  readonly live: readonly number[];
  readonly backfilled: readonly number[];
  readonly missing: readonly number[];
  readonly lost: Readonly<Partial<Record<Place, readonly number[]>>>;
  /** 1 where more was lost than anybody counted. */
  readonly uncounted: Readonly<Partial<Record<Place, readonly number[]>>>;
}

/** The states of a frame, the best first. */
export const STATES = ["live", "backfilled", "missing", "lost"] as const;
export type State = (typeof STATES)[number];

export interface Bucket {
  readonly live: number;
  readonly backfilled: number;
  readonly missing: number;
  readonly lost: number;
  /** Where it was lost: frames, or null where nobody counted (all of them). */
  readonly places: readonly (readonly [place: Place, frames: number | null])[];
}

export interface Looks {
  readonly main: State | null;
  readonly worse: State | null;
}

export function fetchLedger(vehicle: string, range: TimeRange, buckets: number): Promise<Ledger> {
  const asked = new URLSearchParams({
    from_utc_us: String(Math.max(0, Math.floor(range.fromUs))),
    to_utc_us: String(Math.ceil(range.toUs)),
    buckets: String(Math.max(1, Math.min(4000, Math.round(buckets)))),
  });
  return getJson(`/api/vehicles/${encodeURIComponent(vehicle)}/ledger?${asked.toString()}`);
}

/** All that is known of bucket `i`. */
export function bucketOf(ledger: Ledger, i: number): Bucket {
  const places: [Place, number | null][] = [];
  let lost = 0;
  for (const place of PLACES) {
    const frames = ledger.lost[place]?.[i] ?? 0;
    lost += frames;
    if (ledger.uncounted[place]?.[i]) places.push([place, null]);
    else if (frames > 0) places.push([place, frames]);
  }
  return { live: ledger.live[i] ?? 0, backfilled: ledger.backfilled[i] ?? 0, missing: ledger.missing[i] ?? 0, lost, places };
}

/** The bucket at a time, or null outside. */
export function bucketAt(ledger: Ledger, us: number): number | null {
  const i = Math.floor((us - ledger.from_utc_us) / ledger.bucket_us);
  return i >= 0 && i < ledger.live.length ? i : null;
}

/** What a bucket looks like: its main part, and the worse part above it where there is one. */
export function looksOf(bucket: Bucket): Looks {
  const came = bucket.live + bucket.backfilled;
  const main: State | null = came === 0 ? null : bucket.backfilled > bucket.live ? "backfilled" : "live";
  const worse: State | null = bucket.places.length > 0 ? "lost" : bucket.missing > 0 ? "missing" : main === "live" && bucket.backfilled > 0 ? "backfilled" : null;
  return { main, worse };
}

/** The sum of the buckets that lie in `range`. */
export function sumOf(ledger: Ledger, range: TimeRange): Bucket {
  const sum = { live: 0, backfilled: 0, missing: 0, lost: 0 };
  const places = new Map<Place, number | null>();
  for (let i = 0; i < ledger.live.length; i++) {
    const fromUs = ledger.from_utc_us + i * ledger.bucket_us;
    if (fromUs + ledger.bucket_us <= range.fromUs || fromUs >= range.toUs) continue;
    const bucket = bucketOf(ledger, i);
    for (const state of STATES) sum[state] += bucket[state];
    for (const [place, frames] of bucket.places) {
      const before = places.get(place);
      places.set(place, before === null || frames === null ? null : (before ?? 0) + frames);
    }
  }
  return { ...sum, places: [...places] };
}
