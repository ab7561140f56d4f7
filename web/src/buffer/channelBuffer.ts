import type { Column } from "../protocol/columns";
import { Blocks } from "./blocks";

/**
 * The samples of one channel: one entry per bucket, in time order, in typed arrays.
 *
 * Entries live in [start, end) of four parallel arrays. Appending at the end is amortised O(1): when the arrays are full
 * the live part moves to the front. Late data is merged in place. Entries of the same bucket become one, as docs/spec/live.md
 * says: the least minimum, the greatest maximum, the last value of the later time. Memory is bounded because the server
 * chooses the bucket so that a window holds a bounded number of them, and `trim` forgets what has left the window.
 */
const FIRST_CAPACITY = 512;
const MEDIAN_SAMPLES = 255;
const MIN_GAP_US = 1e6;

export class ChannelBuffer {
  times = new Float64Array(FIRST_CAPACITY);
  last = new Float64Array(FIRST_CAPACITY);
  minimum = new Float64Array(FIRST_CAPACITY);
  maximum = new Float64Array(FIRST_CAPACITY);
  start = 0;
  end = 0;
  private readonly blocks = new Blocks();
  private medianUs = 0;
  private medianAtUs = -Infinity;
  /** Smoothed distance between the newest samples of messages that came after another, 0 before the second. */
  private paceUs = 0;

  constructor(readonly bucketUs: number) {}

  get length(): number {
    return this.end - this.start;
  }

  /** Time of the newest sample, -Infinity when there is none. */
  get newestUs(): number {
    return this.length > 0 ? this.times[this.end - 1]! : -Infinity;
  }

  /** Time of the oldest sample, Infinity when there is none. */
  get oldestUs(): number {
    return this.length > 0 ? this.times[this.start]! : Infinity;
  }

  /** All entries are later by so much. */
  move(byUs: number): void {
    for (let i = this.start; i < this.end; i++) this.times[i] = this.times[i]! + byUs;
    this.medianAtUs = -Infinity;
    this.blocks.forgetFrom(0);
  }

  /** Index of the first entry at or after `us`. */
  lowerBound(us: number): number {
    let low = this.start;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.times[middle]! < us) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Index of the newest entry at or before `us`, -1 when there is none. */
  indexAt(us: number): number {
    const index = this.lowerBound(us);
    if (index < this.end && this.times[index] === us) return index;
    return index > this.start ? index - 1 : -1;
  }

  /** Takes a column in; entries newer than `untilUs` are left out. */
  insert(column: Column, baseUs: number, tickUs: number, untilUs = Infinity): void {
    const { dt, last } = column;
    let n = dt.length;
    while (n > 0 && baseUs + dt[n - 1]! * tickUs > untilUs) n--;
    if (n === 0) return;
    const firstUs = baseUs + dt[0]! * tickUs;
    this.notePace(baseUs + dt[n - 1]! * tickUs);
    const tail = firstUs >= this.newestUs ? null : this.cutTail(firstUs);
    const tailLength = tail?.times.length ?? 0;
    this.reserve(n + tailLength);
    const minimum = column.minimum ?? last;
    const maximum = column.maximum ?? last;
    let t = 0;
    for (let i = 0; i < n; i++) {
      const us = baseUs + dt[i]! * tickUs;
      while (tail !== null && t < tailLength && tail.times[t]! <= us) this.pushFrom(tail, t++);
      this.push(us, last[i]!, minimum[i]!, maximum[i]!);
    }
    if (tail !== null) while (t < tailLength) this.pushFrom(tail, t++);
  }

  /** Summaries of the entries in view, brought up to date; the newest entry may still change, and is in none. */
  summaries(): Blocks {
    this.blocks.update(this, this.start, this.end - 1);
    return this.blocks;
  }

  /** Forgets what is older than `us`, but keeps one entry before it: a line enters the window from there. */
  trim(us: number): void {
    const index = this.lowerBound(us);
    if (index - 1 > this.start) this.start = index - 1;
  }

  /** Neighbours further apart than this are not joined by a line. */
  gapUs(): number {
    return Math.max(MIN_GAP_US, 3 * this.bucketUs, 5 * this.medianDistanceUs());
  }

  /** Median distance between neighbours, 0 with fewer than two entries; refreshed once per second of data. */
  medianDistanceUs(): number {
    const newest = this.newestUs;
    if (newest >= this.medianAtUs && newest < this.medianAtUs + MIN_GAP_US && this.medianUs > 0) return this.medianUs;
    const pairs = this.length - 1;
    if (pairs < 1) return 0;
    const count = Math.min(pairs, MEDIAN_SAMPLES);
    const distances = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const at = this.start + Math.floor((i * pairs) / count);
      distances[i] = this.times[at + 1]! - this.times[at]!;
    }
    distances.sort();
    this.medianUs = distances[count >>> 1]!;
    this.medianAtUs = newest;
    return this.medianUs;
  }

  /** How long after the entry at `index` the next sample is due: by the pace of messages where it is the newest. */
  dueAfterUs(index: number): number {
    const medianUs = this.medianDistanceUs();
    return index === this.end - 1 && this.paceUs > 0 ? Math.min(this.paceUs, medianUs) : medianUs;
  }

  /**
   * Two views of the same channel in one. Entries of the finer one (of `a`, where they are equal) stay as they are; of the
   * other one come buckets that it lacks, and extremes that it does not know.
   */
  static joined(a: ChannelBuffer, b: ChannelBuffer): ChannelBuffer {
    const [fine, coarse] = a.bucketUs <= b.bucketUs ? [a, b] : [b, a];
    const out = new ChannelBuffer(fine.bucketUs);
    out.reserve(fine.length + coarse.length);
    let k = fine.start;
    for (let i = coarse.start; i < coarse.end; i++) {
      if (fine.holds(coarse, i)) continue;
      while (k < fine.end && fine.times[k]! <= coarse.times[i]!) out.pushFrom(fine, k++);
      out.pushFrom(coarse, i);
    }
    while (k < fine.end) out.pushFrom(fine, k++);
    return out;
  }

  /** A copy of the entries until `us`. */
  copyUntil(us: number): ChannelBuffer {
    const copy = new ChannelBuffer(this.bucketUs);
    const index = this.indexAt(us);
    const end = index < 0 ? this.start : index + 1;
    copy.times = this.times.slice(this.start, end);
    copy.last = this.last.slice(this.start, end);
    copy.minimum = this.minimum.slice(this.start, end);
    copy.maximum = this.maximum.slice(this.start, end);
    copy.end = copy.times.length;
    return copy;
  }

  /** Adds an entry that is not older than the newest, into its bucket. */
  private push(us: number, last: number, minimum: number, maximum: number): void {
    const at = this.end - 1;
    if (at >= this.start && Math.floor(this.times[at]! / this.bucketUs) === Math.floor(us / this.bucketUs)) {
      this.times[at] = us;
      this.last[at] = last;
      // Comparisons with NaN are false, so a NaN stays only where both are NaN.
      if (!(this.minimum[at]! <= minimum) && minimum === minimum) this.minimum[at] = minimum;
      if (!(this.maximum[at]! >= maximum) && maximum === maximum) this.maximum[at] = maximum;
      return;
    }
    const end = this.end++;
    this.times[end] = us;
    this.last[end] = last;
    this.minimum[end] = minimum;
    this.maximum[end] = maximum;
  }

  private pushFrom(tail: Tail, index: number): void {
    this.push(tail.times[index]!, tail.last[index]!, tail.minimum[index]!, tail.maximum[index]!);
  }

  private cutTail(fromUs: number): Tail {
    const from = this.lowerBound(fromUs);
    const tail = {
      times: this.times.slice(from, this.end),
      last: this.last.slice(from, this.end),
      minimum: this.minimum.slice(from, this.end),
      maximum: this.maximum.slice(from, this.end),
    };
    this.end = from;
    this.blocks.forgetFrom(from - 1);
    return tail;
  }

  /** True when the entries here tell what entry `i` of another buffer, with buckets as wide or wider, tells. */
  private holds(other: ChannelBuffer, i: number): boolean {
    const fromUs = Math.floor(other.times[i]! / other.bucketUs) * other.bucketUs;
    const first = this.lowerBound(fromUs);
    let minimum = Infinity;
    let maximum = -Infinity;
    let k = first;
    for (; k < this.end && this.times[k]! < fromUs + other.bucketUs; k++) {
      if (this.minimum[k]! < minimum) minimum = this.minimum[k]!;
      if (this.maximum[k]! > maximum) maximum = this.maximum[k]!;
    }
    return k > first && !(other.minimum[i]! < minimum) && !(other.maximum[i]! > maximum);
  }

  private notePace(us: number): void {
    const stepUs = us - this.newestUs;
    if (stepUs > 0 && stepUs < Infinity) this.paceUs += (stepUs - this.paceUs) / (this.paceUs === 0 ? 1 : 4);
  }

  /** Makes room for `n` more entries. */
  private reserve(n: number): void {
    if (this.end + n <= this.times.length) return;
    const needed = this.length + n;
    if (needed <= this.times.length / 2) {
      for (const array of [this.times, this.last, this.minimum, this.maximum]) array.copyWithin(0, this.start, this.end);
    } else {
      const capacity = Math.max(needed, this.times.length) * 2;
      this.times = this.moved(this.times, capacity);
      this.last = this.moved(this.last, capacity);
      this.minimum = this.moved(this.minimum, capacity);
      this.maximum = this.moved(this.maximum, capacity);
    }
    this.end -= this.start;
    this.start = 0;
    this.blocks.forgetFrom(0);
  }

  private moved(from: Float64Array<ArrayBuffer>, capacity: number): Float64Array<ArrayBuffer> {
    const to = new Float64Array(capacity);
    to.set(from.subarray(this.start, this.end));
    return to;
  }
}

interface Tail {
  readonly times: Float64Array;
  readonly last: Float64Array;
  readonly minimum: Float64Array;
  readonly maximum: Float64Array;
}
