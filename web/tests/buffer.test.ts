import { describe, expect, it } from "vitest";
import { ChannelBuffer } from "../src/buffer/channelBuffer";
import { LiveStore } from "../src/buffer/liveStore";
import { KIND_HISTORY, KIND_INCREMENT, type Column, type ColumnsMessage } from "../src/protocol/columns";
import type { Watching } from "../src/protocol/messages";

type Sample = readonly [us: number, last: number, minimum?: number, maximum?: number];

function column(samples: readonly Sample[], index = 0): Column {
  return {
    index,
    dt: Uint32Array.from(samples, ([us]) => us),
    last: Float64Array.from(samples, ([, last]) => last),
    minimum: Float64Array.from(samples, ([, last, minimum]) => minimum ?? last),
    maximum: Float64Array.from(samples, ([, last, , maximum]) => maximum ?? last),
  };
}

function rows(buffer: ChannelBuffer): number[][] {
  const out: number[][] = [];
  for (let i = buffer.start; i < buffer.end; i++) out.push([buffer.times[i]!, buffer.last[i]!, buffer.minimum[i]!, buffer.maximum[i]!]);
  return out;
}

/** A small generator with a seed: failures can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What the buffer must hold: each bucket summarised from all samples at once. */
function model(samples: readonly Sample[], bucketUs: number): number[][] {
  const buckets = new Map<number, number[]>();
  for (const [us, last, minimum = last, maximum = last] of samples) {
    const key = Math.floor(us / bucketUs);
    const old = buckets.get(key);
    if (old === undefined) buckets.set(key, [us, last, minimum, maximum]);
    else {
      if (us >= old[0]!) [old[0], old[1]] = [us, last];
      old[2] = Number.isNaN(old[2]) ? minimum : Number.isNaN(minimum) ? old[2]! : Math.min(old[2]!, minimum);
      old[3] = Number.isNaN(old[3]) ? maximum : Number.isNaN(maximum) ? old[3]! : Math.max(old[3]!, maximum);
    }
  }
  return [...buckets.values()].sort((a, b) => a[0]! - b[0]!);
}

describe("ChannelBuffer", () => {
  it("appends, and merges entries of one bucket", () => {
    const buffer = new ChannelBuffer(100);
    buffer.insert(column([[10, 1], [110, 2]]), 0, 1);
    buffer.insert(column([[120, 9], [130, 3, 2.5, 4]]), 0, 1);
    expect(rows(buffer)).toEqual([[10, 1, 1, 1], [130, 3, 2, 9]]);
  });

  it("puts late data in its place and lets the later time win inside a bucket", () => {
    const buffer = new ChannelBuffer(100);
    buffer.insert(column([[150, 5], [450, 8]]), 0, 1);
    buffer.insert(column([[120, -7], [250, 6], [350, NaN]]), 0, 1);
    expect(rows(buffer)).toEqual([[150, 5, -7, 5], [250, 6, 6, 6], [350, NaN, NaN, NaN], [450, 8, 8, 8]]);
  });

  it("uses base and tick, and leaves out what is newer than asked", () => {
    const buffer = new ChannelBuffer(1000);
    buffer.insert(column([[1, 1], [2, 2], [3, 3]]), 1_760_000_000_000_000, 1000, 1_760_000_000_002_000);
    expect(rows(buffer).map(([us]) => us)).toEqual([1_760_000_000_001_000, 1_760_000_000_002_000]);
  });

  it.each([1, 2, 3, 4, 5])("equals the summary of all samples in any order (seed %i)", (seed) => {
    const next = random(seed);
    const buffer = new ChannelBuffer(50);
    const all: Sample[] = [];
    for (let m = 0; m < 200; m++) {
      const start = Math.floor(next() * 20_000);
      const samples: Sample[] = [];
      for (let i = 0, us = start; i < 1 + next() * 20; i++, us += Math.floor(next() * 60)) {
        const value = next() < 0.05 ? NaN : Math.round(next() * 100);
        // The time stands for the sample: the same time carries the same value.
        const known = all.find(([other]) => other === us) ?? samples.find(([other]) => other === us);
        samples.push(known ?? [us, value, value - Math.round(next() * 9), value + Math.round(next() * 9)]);
      }
      all.push(...samples);
      buffer.insert(column(samples), 0, 1);
    }
    expect(rows(buffer)).toEqual(model(all, 50));
  });

  it("keeps order and memory over a long stream with trimming", () => {
    const buffer = new ChannelBuffer(10);
    for (let us = 0; us < 200_000; us += 10) {
      buffer.insert(column([[us, us]]), 0, 1);
      buffer.trim(us - 5000);
    }
    expect(buffer.length).toBe(502);
    expect(rows(buffer)[0]).toEqual([199_990 - 5010, 199_990 - 5010, 199_990 - 5010, 199_990 - 5010]);
    expect(buffer.times.length).toBeLessThanOrEqual(4096);
  });

  it("finds the entry at a time", () => {
    const buffer = new ChannelBuffer(1);
    buffer.insert(column([[10, 1], [20, 2], [30, 3]]), 0, 1);
    expect([9, 10, 15, 20, 99].map((us) => buffer.indexAt(us))).toEqual([-1, 0, 0, 1, 2]);
  });

  it("breaks lines by the greatest of 1 s, three buckets, five median distances", () => {
    const fast = new ChannelBuffer(10_000);
    fast.insert(column(Array.from({ length: 50 }, (_, i) => [i * 10_000, i] as const)), 0, 1);
    expect(fast.gapUs()).toBe(1e6);
    const slow = new ChannelBuffer(10_000);
    slow.insert(column(Array.from({ length: 50 }, (_, i) => [i * 2_000_000, i] as const)), 0, 1);
    expect(slow.gapUs()).toBe(10e6);
    expect(new ChannelBuffer(5e6).gapUs()).toBe(15e6);
  });
});

describe("joined views of a channel", () => {
  const holding = (bucketUs: number, samples: readonly Sample[]): ChannelBuffer => {
    const buffer = new ChannelBuffer(bucketUs);
    buffer.insert(column(samples), 0, 1);
    return buffer;
  };

  it("keep the finer entries, and take what they lack", () => {
    const fine = holding(10, [[100, 1], [110, 2], [120, 3]]);
    const coarse = holding(100, [[50, 7], [120, 3, 1, 3], [250, NaN]]);
    for (const joined of [ChannelBuffer.joined(fine, coarse), ChannelBuffer.joined(coarse, fine)])
      expect(rows(joined)).toEqual([[50, 7, 7, 7], [100, 1, 1, 1], [110, 2, 2, 2], [120, 3, 3, 3], [250, NaN, NaN, NaN]]);
    const spike = holding(100, [[120, 3, -9, 3]]);
    expect(rows(ChannelBuffer.joined(fine, spike)).map(([us, , minimum]) => [us, minimum])).toEqual([[100, 1], [110, 2], [120, -9]]);
  });

  it.each([1, 2, 3])("lose no bucket and no extreme (seed %i)", (seed) => {
    const next = random(seed);
    const some = (bucketUs: number): [ChannelBuffer, Sample[]] => {
      const times = [...new Set(Array.from({ length: 200 }, () => Math.floor(next() * 5000)))].sort((a, b) => a - b);
      const samples = times.map((us) => [us, Math.sin(us)] as const);
      return [holding(bucketUs, samples), samples];
    };
    const [[fine, some1], [coarse, some2]] = [some(20), some(300)];
    const joined = rows(ChannelBuffer.joined(fine, coarse));
    for (let k = 0; k < 5000; k += 300) {
      const here = joined.filter(([us]) => us! >= k && us! < k + 300);
      const values = [...some1, ...some2].filter(([us]) => us >= k && us < k + 300).map(([, value]) => value);
      expect([Math.min(...here.map((row) => row[2]!)), Math.max(...here.map((row) => row[3]!))]).toEqual([Math.min(...values), Math.max(...values)]);
    }
    expect(joined.map(([us]) => us)).toEqual([...joined.map(([us]) => us!)].sort((a, b) => a - b));
  });
});

function watching(names: readonly string[], edge: number | null = null): Watching {
  return {
    type: "watching",
    id: 1,
    vehicle: "fs",
    channels: names.map((name, index) => ({ index, name, unit: "", kind: "continuous", choices: [], minimum: null, maximum: null })),
    unknown: [],
    rate_hz: 10,
    window_s: 1,
    bucket_us: 100,
    epoch: null,
    edge_utc_us: edge,
  };
}

function message(kind: ColumnsMessage["kind"], columns: readonly Column[], isLast = false): ColumnsMessage {
  return { kind, subscription: 1, isLast, baseUs: 0, tickUs: 1, sequence: 0, columns };
}

describe("LiveStore", () => {
  it("keeps the old samples in view until the new history is complete", () => {
    const store = new LiveStore();
    store.startWatching(watching(["a"]));
    store.accept(message(KIND_HISTORY, [column([[100, 1]])], true));
    store.startWatching(watching(["a", "b"]));
    store.accept(message(KIND_HISTORY, [column([[100, 1], [200, 2]])]));
    expect(rows(store.buffer("a")!).length).toBe(1);
    store.accept(message(KIND_INCREMENT, [column([[300, 3]]), column([[300, 30]], 1)]));
    store.accept(message(KIND_HISTORY, [column([[100, 10]], 1)], true));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([100, 200, 300]);
    expect(rows(store.buffer("b")!).map(([us]) => us)).toEqual([100, 300]);
  });

  it("tells what is newer, and follows the edge", () => {
    const store = new LiveStore();
    store.startWatching(watching(["a"], 500));
    expect(store.accept(message(KIND_HISTORY, [column([[400, 1]])], true))).toBe(false);
    expect(store.accept(message(KIND_INCREMENT, [column([[600, 1]])]))).toBe(true);
    expect(store.edgeUs).toBe(600);
    store.reset();
    expect(store.edgeUs).toBe(-Infinity);
    expect(store.buffer("a")).toBeUndefined();
  });

  it("freezes the view, yet fills late data into it", () => {
    const store = new LiveStore();
    store.startWatching(watching(["a"]));
    store.accept(message(KIND_HISTORY, [column([[100, 1], [500, 5]])], true));
    store.freeze(500);
    store.accept(message(KIND_INCREMENT, [column([[300, 3], [900, 9]])]));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([100, 300, 500]);
    store.unfreeze();
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([100, 300, 500, 900]);
  });

  it("keeps a paused view when all comes anew: moved by a better clock, and also what has left the window", () => {
    const store = new LiveStore();
    store.startWatching(watching(["a"]));
    store.accept(message(KIND_HISTORY, [column([[100, 1], [500, 5]])], true));
    store.freeze(500);
    store.restart({ from_utc_us: 0, by_us: 1000 });
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([1100, 1500]);
    store.startWatching(watching(["a", "b"]));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([1100, 1500]);
    store.accept(message(KIND_HISTORY, [column([[1300, 3], [1900, 9]]), column([[1200, 2], [1900, 9]], 1)], true));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([1100, 1300]); // What comes anew is right where it reaches.
    expect(rows(store.buffer("b")!).map(([us]) => us)).toEqual([1200]);
    store.unfreeze();
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([1300, 1900]);
    expect(store.buffer("a")!.newestUs).toBe(1900);
  });

  it("goes on with increments while a new history loads, and shows what came when it fails", () => {
    const store = new LiveStore();
    store.startWatching(watching(["a"]));
    store.accept(message(KIND_HISTORY, [column([[100, 1], [500, 5]])], true));
    store.startWatching(watching(["a", "b"]));
    store.accept(message(KIND_INCREMENT, [column([[900, 9]]), column([[900, 90]], 1)]));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([100, 500, 900]);
    store.accept(message(KIND_HISTORY, [column([[700, 70]], 1)]));
    store.endHistory();
    expect(store.isHistoryComplete).toBe(false);
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([100, 500, 900]);
    expect(rows(store.buffer("b")!).map(([us]) => us)).toEqual([700, 900]);
    store.accept(message(KIND_INCREMENT, [column([[1100, 11]])]));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([100, 500, 900, 1100]);
  });

  it("a paused view keeps what left the window and what another sheet showed, and takes late data and older times over", () => {
    const store = new LiveStore();
    store.startWatching(watching(["a"]));
    store.accept(message(KIND_HISTORY, [column([[300, 3], [310, 3.5], [500, 5]])], true));
    store.freeze(500);
    store.startWatching({ ...watching(["b"]), bucket_us: 1000 });
    store.accept(message(KIND_HISTORY, [column([[400, 40], [2500, 9]])], true));
    expect(rows(store.buffer("b")!).map(([us]) => us)).toEqual([400]);
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([310, 500]);
    // Back on the first sheet: a longer window, in coarser buckets.
    store.startWatching({ ...watching(["a"]), bucket_us: 200 });
    store.accept(message(KIND_HISTORY, [column([[50, 0.5], [310, 3.5, 3, 8], [500, 5], [2500, 9]])], true));
    expect(rows(store.buffer("a")!)).toEqual([[50, 0.5, 0.5, 0.5], [310, 3.5, 3, 8], [500, 5, 5, 5]]);
  });

  it("a view that pauses before anything is there fills as the first history comes", () => {
    const store = new LiveStore();
    store.freeze(500);
    store.startWatching(watching(["a"], 500));
    store.accept(message(KIND_HISTORY, [column([[300, 3]])]));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([300]);
  });

  it("drops what has left the window", () => {
    const store = new LiveStore();
    store.startWatching(watching(["a"]));
    store.accept(message(KIND_HISTORY, [column([[0, 1], [1000, 1], [2_000_000, 2]])], true));
    expect(rows(store.buffer("a")!).map(([us]) => us)).toEqual([1000, 2_000_000]);
  });
});
