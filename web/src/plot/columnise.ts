import type { ChannelBuffer } from "../buffer/channelBuffer";

/**
 * Samples reduced to pixel columns: what a curve of a few thousand pixels can show of any number of samples.
 *
 * Per column: the first and last point of the line, its least and greatest value, and the band of minima and maxima.
 * A column is broken when no line leads to it from the one before.
 */
const ARRAYS = 8;
const BYTES_PER_COLUMN = ARRAYS * 8 + 2;
const MIN_CAPACITY = 256;
/** Fewer entries per pixel than this are looked at one by one. */
const DENSE = 32;

/** Columns on their way between threads. */
export interface PackedColumns {
  readonly n: number;
  readonly bytes: ArrayBuffer;
}

export class PixelColumns {
  n = 0;
  private capacity = 0;
  bytes!: ArrayBuffer;
  x!: Float64Array;
  xLast!: Float64Array;
  first!: Float64Array;
  low!: Float64Array;
  high!: Float64Array;
  last!: Float64Array;
  minimum!: Float64Array;
  maximum!: Float64Array;
  isBroken!: Uint8Array;
  isSingle!: Uint8Array;

  /** Takes over the memory, of `pack` or of an earlier use. */
  constructor(packed: PackedColumns = { n: 0, bytes: new ArrayBuffer(0) }) {
    this.n = packed.n;
    this.adopt(packed.bytes);
  }

  /** For `postMessage`, with `bytes` in its list of transfers. */
  pack(): PackedColumns {
    return { n: this.n, bytes: this.bytes };
  }

  /** Reduces the entries in view; one column per pixel of `usPerPixel`, x in pixels from `fromUs`. */
  fill(buffer: ChannelBuffer, fromUs: number, toUs: number, usPerPixel: number): void {
    this.n = 0;
    const begin = Math.max(buffer.start, buffer.lowerBound(fromUs) - 1);
    const end = Math.min(buffer.end, buffer.lowerBound(toUs) + 1);
    const pixels = Math.ceil((toUs - fromUs) / usPerPixel) + 3;
    this.reserve(Math.min(end - begin, 2 * pixels));
    const blocks = end - begin > DENSE * pixels ? buffer.summaries() : null;
    const complete = Math.min(end, buffer.end - 1);
    const { times, last, minimum, maximum } = buffer;
    const gapUs = buffer.gapUs();
    let c = -1;
    let isBroken = true;
    let beforeUs = -Infinity;
    for (let i = begin; i < end; ) {
      const us = times[i]!;
      const first = last[i]!;
      if (first !== first) {
        isBroken = true;
        i++;
        continue;
      }
      if (us - beforeUs > gapUs) isBroken = true;
      const begun = i;
      const x = (us - fromUs) / usPerPixel;
      const untilUs = fromUs + (Math.floor(x) + 1) * usPerPixel;
      let low = first;
      let high = first;
      let least = minimum[i]!;
      let greatest = maximum[i]!;
      let final = i++;
      beforeUs = us;
      while (i < end) {
        const tier = blocks === null ? null : blocks.at(i, complete, untilUs, gapUs);
        if (tier !== null) {
          const b = i / tier.size;
          if (tier.low[b]! < low) low = tier.low[b]!;
          if (tier.high[b]! > high) high = tier.high[b]!;
          if (tier.minimum[b]! < least) least = tier.minimum[b]!;
          if (tier.maximum[b]! > greatest) greatest = tier.maximum[b]!;
          beforeUs = tier.untilUs[b]!;
          i += tier.size;
          final = i - 1;
          continue;
        }
        const value = last[i]!;
        const here = times[i]!;
        if (here >= untilUs || here - beforeUs > gapUs || value !== value) break;
        if (value < low) low = value;
        if (value > high) high = value;
        if (minimum[i]! < least) least = minimum[i]!;
        if (maximum[i]! > greatest) greatest = maximum[i]!;
        beforeUs = here;
        final = i++;
      }
      c++;
      if (c === this.capacity) this.reserve(this.capacity * 2);
      this.x[c] = x;
      this.xLast[c] = final === begun ? x : (beforeUs - fromUs) / usPerPixel;
      this.first[c] = first;
      this.low[c] = low;
      this.high[c] = high;
      this.last[c] = last[final]!;
      this.minimum[c] = least;
      this.maximum[c] = greatest;
      this.isBroken[c] = isBroken ? 1 : 0;
      this.isSingle[c] = final === begun ? 1 : 0;
      isBroken = false;
    }
    this.n = c + 1;
  }

  /** Into another unit: value · factor + offset. */
  convert(factor: number, offset: number): void {
    if (factor === 1 && offset === 0) return;
    for (const values of [this.first, this.low, this.high, this.last, this.minimum, this.maximum]) {
      for (let i = 0; i < this.n; i++) values[i] = values[i]! * factor + offset;
    }
  }

  private reserve(n: number): void {
    if (n <= this.capacity) return;
    const before = { ...this };
    this.adopt(new ArrayBuffer(Math.max(n, MIN_CAPACITY) * BYTES_PER_COLUMN));
    for (const name of ["x", "xLast", "first", "low", "high", "last", "minimum", "maximum", "isBroken", "isSingle"] as const) {
      this[name].set(before[name]);
    }
  }

  private adopt(bytes: ArrayBuffer): void {
    const capacity = Math.floor(bytes.byteLength / BYTES_PER_COLUMN);
    const values = (k: number): Float64Array => new Float64Array(bytes, k * 8 * capacity, capacity);
    const flags = (k: number): Uint8Array => new Uint8Array(bytes, (ARRAYS * 8 + k) * capacity, capacity);
    this.bytes = bytes;
    this.capacity = capacity;
    this.x = values(0);
    this.xLast = values(1);
    this.first = values(2);
    this.low = values(3);
    this.high = values(4);
    this.last = values(5);
    this.minimum = values(6);
    this.maximum = values(7);
    this.isBroken = flags(0);
    this.isSingle = flags(1);
  }
}
