/**
 * Summaries of 64 entries each, so that a long time is drawn without a look at every entry.
 *
 * Block `b` covers the indices [64·b, 64·b + 64) of a buffer's arrays. Made when asked for, and only for entries that are
 * complete; whoever changes older entries or moves them says so with `forgetFrom`.
 */
export const BLOCK = 64;

export interface Entries {
  readonly times: Float64Array;
  readonly last: Float64Array;
  readonly minimum: Float64Array;
  readonly maximum: Float64Array;
}

export class Blocks {
  low = new Float64Array(0);
  high = new Float64Array(0);
  minimum = new Float64Array(0);
  maximum = new Float64Array(0);
  /** The longest distance between neighbours in the block, from the entry before it on; Infinity where a value is NaN. */
  widestUs = new Float64Array(0);
  private valid = 0;

  forgetFrom(index: number): void {
    this.valid = Math.min(this.valid, Math.floor(index / BLOCK));
  }

  /** Completes the summaries of all blocks that lie in [start, end). */
  update(entries: Entries, start: number, end: number): void {
    const count = Math.floor(end / BLOCK);
    this.reserve(count);
    for (let b = Math.max(this.valid, Math.floor(start / BLOCK)); b < count; b++) this.summarise(entries, b);
    this.valid = Math.max(this.valid, count);
  }

  private summarise({ times, last, minimum, maximum }: Entries, b: number): void {
    let low = Infinity;
    let high = -Infinity;
    let least = Infinity;
    let greatest = -Infinity;
    let widest = 0;
    const begin = b * BLOCK;
    for (let i = begin; i < begin + BLOCK; i++) {
      const value = last[i]!;
      if (value !== value) widest = Infinity;
      if (value < low) low = value;
      if (value > high) high = value;
      if (minimum[i]! < least) least = minimum[i]!;
      if (maximum[i]! > greatest) greatest = maximum[i]!;
      if (i > 0 && times[i]! - times[i - 1]! > widest) widest = times[i]! - times[i - 1]!;
    }
    this.low[b] = low;
    this.high[b] = high;
    this.minimum[b] = least;
    this.maximum[b] = greatest;
    this.widestUs[b] = widest;
  }

  private reserve(count: number): void {
    if (count <= this.low.length) return;
    const grown = (from: Float64Array): Float64Array<ArrayBuffer> => {
      const to = new Float64Array(Math.max(16, count * 2));
      to.set(from);
      return to;
    };
    this.low = grown(this.low);
    this.high = grown(this.high);
    this.minimum = grown(this.minimum);
    this.maximum = grown(this.maximum);
    this.widestUs = grown(this.widestUs);
  }
}
