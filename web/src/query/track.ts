import type { ChannelBuffer } from "../buffer/channelBuffer";
import type { Buffers, Frame, TrackAnswer, TrackQuery } from "./query";

/** More positions than a map of a few hundred pixels can show. */
const MOST = 6000;

/**
 * Valid positions in time order, from the buffers of latitude, longitude and validity.
 *
 * Latitude and longitude pair up when they stand in the same bucket. A position counts only when every sample of validity
 * in its bucket is non-zero (or, where validity comes less often, the newest before it); without a validity channel, when
 * it lies on the globe and is not 0, 0.
 */
export class Track {
  n = 0;
  times = new Float64Array(0);
  latitudes = new Float64Array(0);
  longitudes = new Float64Array(0);
  /** 1 where no line leads from the position before. */
  isBroken = new Uint8Array(0);

  fill(latitude: ChannelBuffer, longitude: ChannelBuffer, valid: ChannelBuffer | null, fromUs: number, toUs: number): void {
    this.reserve(latitude.length);
    this.n = 0;
    const bucketUs = latitude.bucketUs;
    const gapUs = latitude.gapUs();
    const end = Math.min(latitude.end, latitude.indexAt(toUs) + 1);
    let j = longitude.lowerBound(fromUs - bucketUs);
    let isBroken = true;
    let beforeUs = -Infinity;
    for (let i = latitude.lowerBound(fromUs); i < end; i++) {
      const us = latitude.times[i]!;
      const bucket = Math.floor(us / bucketUs);
      while (j < longitude.end && Math.floor(longitude.times[j]! / bucketUs) < bucket) j++;
      const isPair = j < longitude.end && Math.floor(longitude.times[j]! / bucketUs) === bucket;
      if (!isPair) continue;
      if (!isOnGlobe(latitude.last[i]!, longitude.last[j]!) || !isValidAt(valid, us)) {
        isBroken = true;
        continue;
      }
      const at = this.n++;
      this.times[at] = us;
      this.latitudes[at] = latitude.last[i]!;
      this.longitudes[at] = longitude.last[j]!;
      this.isBroken[at] = isBroken || us - beforeUs > gapUs ? 1 : 0;
      isBroken = false;
      beforeUs = us;
    }
  }

  private reserve(n: number): void {
    if (n <= this.times.length) return;
    const capacity = n * 2;
    this.times = new Float64Array(capacity);
    this.latitudes = new Float64Array(capacity);
    this.longitudes = new Float64Array(capacity);
    this.isBroken = new Uint8Array(capacity);
  }
}

const track = new Track();

/** The positions of the whole window up to the end of what is in view, thinned to a few thousand. */
export function findTrack(buffers: Buffers, frame: Frame, query: TrackQuery): TrackAnswer | null {
  const latitude = buffers(query.latitude);
  const longitude = buffers(query.longitude);
  const valid = query.valid ? buffers(query.valid) : null;
  if (latitude === undefined || longitude === undefined || valid === undefined) return null;
  track.fill(latitude, longitude, valid, frame.windowFromUs, frame.toUs);
  const step = Math.max(1, Math.ceil(track.n / MOST));
  const n = track.n === 0 ? 0 : Math.floor((track.n - 1) / step) + 1;
  const answer = {
    n,
    times: new Float64Array(n),
    latitudes: new Float64Array(n),
    longitudes: new Float64Array(n),
    isBroken: new Uint8Array(n),
    colours: new Float64Array(query.colour === null ? 0 : n),
  };
  const colour = query.colour === null ? undefined : buffers(query.colour);
  // From the newest one back, so that the car stands where it is; a break between two that are kept stays one.
  for (let k = n - 1, i = track.n - 1; k >= 0; k--, i -= step) {
    answer.times[k] = track.times[i]!;
    answer.latitudes[k] = track.latitudes[i]!;
    answer.longitudes[k] = track.longitudes[i]!;
    for (let j = Math.max(0, i - step + 1); j <= i; j++) if (track.isBroken[j] === 1) answer.isBroken[k] = 1;
    if (query.colour !== null) answer.colours[k] = colour === undefined ? NaN : valueAt(colour, track.times[i]!);
  }
  return answer;
}

/** The value that holds at `us`, NaN where the channel has none there. */
export function valueAt(buffer: ChannelBuffer, us: number): number {
  const index = buffer.indexAt(us);
  return index < 0 || us - buffer.times[index]! > buffer.gapUs() ? NaN : buffer.last[index]!;
}

function isOnGlobe(latitude: number, longitude: number): boolean {
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && !(latitude === 0 && longitude === 0);
}

function isValidAt(valid: ChannelBuffer | null, us: number): boolean {
  if (valid === null) return true;
  // The whole bucket of the position: its summary may carry a time a little later than the position.
  const bucketEndUs = (Math.floor(us / valid.bucketUs) + 1) * valid.bucketUs;
  const index = valid.lowerBound(bucketEndUs) - 1;
  if (index < valid.start || us - valid.times[index]! > valid.gapUs()) return false;
  return valid.last[index]! !== 0 && valid.minimum[index]! > 0;
}
