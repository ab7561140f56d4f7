import { BLOCK } from "../buffer/blocks";
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
const DENSE = 2 * BLOCK;

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
    const blocksEnd = Math.floor(Math.min(end, buffer.end - 1) / BLOCK) * BLOCK;
    const { times, last, minimum, maximum } = buffer;
    const gapUs = buffer.gapUs();
    let pixel = -Infinity;
    let c = -1;
    let isBroken = true;
    let beforeUs = -Infinity;
    for (let i = begin; i < end; i++) {
      const us = times[i]!;
      const x = (us - fromUs) / usPerPixel;
      const here = Math.floor(x);
      if (blocks !== null && here === pixel && (i & (BLOCK - 1)) === 0 && i < blocksEnd) {
        const b = i / BLOCK;
        const final = i + BLOCK - 1;
        const xFinal = (times[final]! - fromUs) / usPerPixel;
        if (xFinal < pixel + 1 && blocks.widestUs[b]! <= gapUs) {
          if (blocks.low[b]! < this.low[c]!) this.low[c] = blocks.low[b]!;
          if (blocks.high[b]! > this.high[c]!) this.high[c] = blocks.high[b]!;
          if (blocks.minimum[b]! < this.minimum[c]!) this.minimum[c] = blocks.minimum[b]!;
          if (blocks.maximum[b]! > this.maximum[c]!) this.maximum[c] = blocks.maximum[b]!;
          this.xLast[c] = xFinal;
          this.last[c] = last[final]!;
          this.isSingle[c] = 0;
          beforeUs = times[final]!;
          i = final;
          continue;
        }
      }
      const value = last[i]!;
      if (value !== value) {
        isBroken = true;
        pixel = -Infinity;
        continue;
      }
      if (us - beforeUs > gapUs) {
        isBroken = true;
        pixel = -Infinity;
      }
      beforeUs = us;
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
