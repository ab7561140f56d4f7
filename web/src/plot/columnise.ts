import type { ChannelBuffer } from "../buffer/channelBuffer";

/**
 * Samples reduced to pixel columns: what a curve of a few thousand pixels can show of any number of samples.
 *
 * Per column: the first and last point of the line, its least and greatest value, and the band of minima and maxima.
 * A column is broken when no line leads to it from the one before.
 */
export class PixelColumns {
  n = 0;
  private capacity = 0;
  x = new Float64Array(0);
  xLast = new Float64Array(0);
  first = new Float64Array(0);
  low = new Float64Array(0);
  high = new Float64Array(0);
  last = new Float64Array(0);
  minimum = new Float64Array(0);
  maximum = new Float64Array(0);
  isBroken = new Uint8Array(0);
  isSingle = new Uint8Array(0);

  /** Reduces the entries in view; one column per pixel of `usPerPixel`, x in pixels from `fromUs`. */
  fill(buffer: ChannelBuffer, fromUs: number, toUs: number, usPerPixel: number): void {
    this.n = 0;
    const begin = Math.max(buffer.start, buffer.lowerBound(fromUs) - 1);
    const end = Math.min(buffer.end, buffer.lowerBound(toUs) + 1);
    this.reserve(Math.min(end - begin, Math.ceil((toUs - fromUs) / usPerPixel) + 3));
    const { times, last, minimum, maximum } = buffer;
    const gapUs = buffer.gapUs();
    let pixel = -Infinity;
    let c = -1;
    let isBroken = true;
    let beforeUs = -Infinity;
    for (let i = begin; i < end; i++) {
      const value = last[i]!;
      if (value !== value) {
        isBroken = true;
        pixel = -Infinity;
        continue;
      }
      const us = times[i]!;
      if (us - beforeUs > gapUs) {
        isBroken = true;
        pixel = -Infinity;
      }
      beforeUs = us;
      const x = (us - fromUs) / usPerPixel;
      const here = Math.floor(x);
      if (here === pixel) {
        if (value < this.low[c]!) this.low[c] = value;
        if (value > this.high[c]!) this.high[c] = value;
        if (minimum[i]! < this.minimum[c]!) this.minimum[c] = minimum[i]!;
        if (maximum[i]! > this.maximum[c]!) this.maximum[c] = maximum[i]!;
        this.xLast[c] = x;
        this.last[c] = value;
        this.isSingle[c] = 0;
        continue;
      }
      c++;
      if (c === this.capacity) this.reserve(this.capacity * 2);
      pixel = here;
      this.x[c] = this.xLast[c] = x;
      this.first[c] = this.low[c] = this.high[c] = this.last[c] = value;
      this.minimum[c] = minimum[i]!;
      this.maximum[c] = maximum[i]!;
      this.isBroken[c] = isBroken ? 1 : 0;
      this.isSingle[c] = 1;
      isBroken = false;
    }
    this.n = c + 1;
  }

  private reserve(n: number): void {
    if (n <= this.capacity) return;
    this.capacity = Math.max(n, 256);
    const grown = (from: Float64Array): Float64Array<ArrayBuffer> => {
      const to = new Float64Array(this.capacity);
      to.set(from);
      return to;
    };
    const grownBytes = (from: Uint8Array): Uint8Array<ArrayBuffer> => {
      const to = new Uint8Array(this.capacity);
      to.set(from);
      return to;
    };
    this.x = grown(this.x);
    this.xLast = grown(this.xLast);
    this.first = grown(this.first);
    this.low = grown(this.low);
    this.high = grown(this.high);
    this.last = grown(this.last);
    this.minimum = grown(this.minimum);
    this.maximum = grown(this.maximum);
    this.isBroken = grownBytes(this.isBroken);
    this.isSingle = grownBytes(this.isSingle);
  }
}
