/**
 * Summaries of 16 entries each and of 8 summaries each, so that a long time is drawn without a look at every entry.
 *
 * Block `b` covers the indices [size·b, size·b + size) of a buffer's arrays. Made when asked for, and only for entries that
 * are complete; whoever changes older entries or moves them says so with `forgetFrom`.
 */
const FINE = 16;
const PER_COARSE = 8;

export interface Entries {
  readonly times: Float64Array;
  readonly last: Float64Array;
  readonly minimum: Float64Array;
  readonly maximum: Float64Array;
}

/** Blocks of one size. */
export class Tier {
  low = new Float64Array(0);
  high = new Float64Array(0);
  minimum = new Float64Array(0);
  maximum = new Float64Array(0);
  /** Time of the block's newest entry. */
  untilUs = new Float64Array(0);
  /** The longest distance between neighbours in the block, from the entry before it on; Infinity where a value is NaN. */
  widestUs = new Float64Array(0);

  constructor(readonly size: number) {}

  reaches(i: number, end: number, untilUs: number, gapUs: number): boolean {
    const b = i / this.size;
    return (i & (this.size - 1)) === 0 && i + this.size <= end && this.untilUs[b]! < untilUs && this.widestUs[b]! <= gapUs;
  }

  summarise({ times, last, minimum, maximum }: Entries, b: number): void {
    let low = Infinity;
    let high = -Infinity;
    let least = Infinity;
    let greatest = -Infinity;
    let widest = 0;
    const begin = b * this.size;
    for (let i = begin; i < begin + this.size; i++) {
      const value = last[i]!;
      if (value !== value) widest = Infinity;
      if (value < low) low = value;
      if (value > high) high = value;
      if (minimum[i]! < least) least = minimum[i]!;
      if (maximum[i]! > greatest) greatest = maximum[i]!;
      if (i > 0 && times[i]! - times[i - 1]! > widest) widest = times[i]! - times[i - 1]!;
    }
    this.set(b, low, high, least, greatest, times[begin + this.size - 1]!, widest);
  }

  /** From the blocks of a finer tier. */
  gather(finer: Tier, b: number): void {
    const count = this.size / finer.size;
    let [low, high, least, greatest, widest] = [Infinity, -Infinity, Infinity, -Infinity, 0];
    for (let k = b * count; k < (b + 1) * count; k++) {
      if (finer.low[k]! < low) low = finer.low[k]!;
      if (finer.high[k]! > high) high = finer.high[k]!;
      if (finer.minimum[k]! < least) least = finer.minimum[k]!;
      if (finer.maximum[k]! > greatest) greatest = finer.maximum[k]!;
      if (finer.widestUs[k]! > widest) widest = finer.widestUs[k]!;
    }
    this.set(b, low, high, least, greatest, finer.untilUs[(b + 1) * count - 1]!, widest);
  }

  private set(b: number, low: number, high: number, minimum: number, maximum: number, untilUs: number, widestUs: number): void {
    this.low[b] = low;
    this.high[b] = high;
    this.minimum[b] = minimum;
    this.maximum[b] = maximum;
    this.untilUs[b] = untilUs;
    this.widestUs[b] = widestUs;
  }

  reserve(count: number): void {
    if (count <= this.low.length) return;
    for (const name of ["low", "high", "minimum", "maximum", "untilUs", "widestUs"] as const) {
      const to = new Float64Array(Math.max(16, count * 2));
      to.set(this[name]);
      this[name] = to;
    }
  }
}

export class Blocks {
  private readonly fine = new Tier(FINE);
  private readonly coarse = new Tier(FINE * PER_COARSE);
  private valid = 0;

  /** The longest block from entry `i` on, within the first `end` entries and before `untilUs`, that no gap and no NaN is in. */
  at(i: number, end: number, untilUs: number, gapUs: number): Tier | null {
    if ((i & (FINE - 1)) !== 0) return null;
    if (this.coarse.reaches(i, end, untilUs, gapUs)) return this.coarse;
    return this.fine.reaches(i, end, untilUs, gapUs) ? this.fine : null;
  }

  forgetFrom(index: number): void {
    this.valid = Math.min(this.valid, Math.floor(index / FINE));
  }

  /** Completes the summaries of all blocks that lie in [start, end). */
  update(entries: Entries, start: number, end: number): void {
    const count = Math.floor(end / FINE);
    const begin = Math.max(this.valid, Math.floor(start / FINE));
    this.fine.reserve(count);
    for (let b = begin; b < count; b++) this.fine.summarise(entries, b);
    const coarseCount = Math.floor(count / PER_COARSE);
    this.coarse.reserve(coarseCount);
    for (let b = Math.floor(begin / PER_COARSE); b < coarseCount; b++) this.coarse.gather(this.fine, b);
    this.valid = Math.max(this.valid, count);
  }
}
