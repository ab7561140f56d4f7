import type { ChannelBuffer } from "../../buffer/channelBuffer";

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

  /** Index of the newest position at or before `us`, -1 when there is none. */
  indexAt(us: number): number {
    let index = this.n - 1;
    while (index >= 0 && this.times[index]! > us) index--;
    return index;
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
