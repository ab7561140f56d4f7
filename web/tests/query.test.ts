import { describe, expect, it } from "vitest";
import { ChannelBuffer } from "../src/buffer/channelBuffer";
import { PixelColumns } from "../src/plot/columnise";
import { ColumnPool, findColumns } from "../src/query/columns";
import { findHistogram } from "../src/query/histogram";
import { findPairs } from "../src/query/pairs";
import type { Frame } from "../src/query/query";
import { findTrack } from "../src/query/track";
import { readValues } from "../src/query/values";

function bufferOf(samples: readonly (readonly [us: number, value: number, minimum?: number, maximum?: number])[], bucketUs = 10_000): ChannelBuffer {
  const buffer = new ChannelBuffer(bucketUs);
  const column = {
    index: 0,
    dt: Uint32Array.from(samples, ([us]) => us),
    last: Float64Array.from(samples, ([, value]) => value),
    minimum: Float64Array.from(samples, ([, value, minimum]) => minimum ?? value),
    maximum: Float64Array.from(samples, ([, value, , maximum]) => maximum ?? value),
  };
  buffer.insert(column, 0, 1);
  return buffer;
}

function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const frame = (fromUs: number, toUs: number, more: Partial<Frame> = {}): Frame => ({ fromUs, toUs, windowFromUs: fromUs, readUs: toUs, anchorUs: null, ...more });
const buffers = (given: Record<string, ChannelBuffer>) => (name: string) => given[name];

describe("values", () => {
  const speed = bufferOf([[0, 1], [100_000, 5, 2, 9], [200_000, 3]]);
  const ask = (at: Frame, hasStatistics = false) => readValues(buffers({ speed }), at, { kind: "values", channels: ["speed", "gone"], hasStatistics });

  it("are those that hold at the reading time", () => {
    const [first, gone] = ask(frame(0, 150_000));
    expect(first).toMatchObject({ us: 100_000, value: 5, isOld: false, statistics: null });
    expect(gone).toBeNull();
  });

  it("are old when the channel has stopped", () => {
    expect(ask(frame(0, 1_150_000))[0]!.isOld).toBe(false);
    expect(ask(frame(0, 1_250_000))[0]!.isOld).toBe(true);
  });

  it("are old a second after the newest, in coarse buckets too; of a slow channel a second after the next was due", () => {
    const isOld = (buffer: ChannelBuffer, at: number) => readValues(buffers({ buffer }), frame(0, at), { kind: "values", channels: ["buffer"], hasStatistics: false })[0]!.isOld;
    const long = new ChannelBuffer(10_000_000);
    const add = (buffer: ChannelBuffer, us: number) => buffer.insert({ index: 0, dt: Uint32Array.of(us), last: Float64Array.of(1), minimum: null, maximum: null }, 0, 1);
    for (let us = 9_900_000; us < 50_000_000; us += 10_000_000) add(long, us);
    for (let us = 50_000_000; us <= 53_000_000; us += 100_000) add(long, us);
    expect([isOld(long, 53_900_000), isOld(long, 54_100_000)]).toEqual([false, true]);
    const slow = new ChannelBuffer(10_000);
    for (let us = 0; us <= 5_000_000; us += 1_000_000) add(slow, us);
    expect([isOld(slow, 6_900_000), isOld(slow, 7_100_000)]).toEqual([false, true]);
  });

  it("come with minimum, maximum, a mean over time, and the value at the second cursor", () => {
    const { statistics } = ask(frame(0, 300_000, { anchorUs: 50_000 }), true)[0]!;
    expect(statistics).toMatchObject({ minimum: 1, maximum: 9, anchor: 1 });
    expect(statistics!.mean).toBeCloseTo((1 + 5 + 3) / 3, 9);
  });
});

describe("columns", () => {
  it("use memory again, and keep no more of it than a frame takes", () => {
    const pool = new ColumnPool();
    const spent = Array.from({ length: 50 }, () => new ArrayBuffer(8));
    pool.begin([]);
    for (let k = 0; k < 3; k++) pool.take();
    pool.begin([...spent, new ArrayBuffer(0)]);
    const taken = Array.from({ length: 5 }, () => pool.take().bytes);
    expect(taken.filter((bytes) => spent.includes(bytes))).toHaveLength(3);
    expect(taken.filter((bytes) => bytes.byteLength === 0)).toHaveLength(2);
  });

  it("answer with the spikes of a long time, the same with and without summaries", () => {
    const n = 100_000;
    const samples = Array.from({ length: n }, (_, i) => [i * 10_000, Math.sin(i / 1000), undefined, i === 54_321 ? 77 : undefined] as const);
    const long = bufferOf(samples.map(([us, value, , maximum]) => [us, value, value, maximum ?? value] as const));
    const [packed] = findColumns(buffers({ long }), frame(0, n * 10_000), { kind: "columns", channels: ["long"], width: 300 }, new ColumnPool());
    const columns = new PixelColumns(packed!);
    expect(columns.n).toBeGreaterThan(295);
    expect(columns.n).toBeLessThan(305);
    expect(Math.max(...columns.maximum.subarray(0, columns.n))).toBe(77);
    for (let c = 0; c < columns.n - 1; c++) {
      // Bounds of the pixel, looked at one by one.
      const from = Math.ceil((c * n) / 300);
      const to = Math.ceil(((c + 1) * n) / 300);
      const values = samples.slice(from, to).map(([, value]) => value);
      expect(columns.high[c]).toBeCloseTo(Math.max(...values), 12);
      expect(columns.low[c]).toBeCloseTo(Math.min(...values), 12);
      expect(columns.last[c]).toBeCloseTo(values.at(-1)!, 12);
    }
  });

  it.each([1, 2, 3, 4])("hold every sample of their pixel, whatever came late, broke or left (seed %i)", (seed) => {
    const random = randomOf(seed);
    let us = 0;
    const samples = Array.from({ length: 40_000 }, (_, i) => {
      us += random() < 0.0005 ? 5_000_000 : 5000 + Math.floor(random() * 10_000);
      const value = random() < 0.001 ? NaN : Math.sin(i / 500) + random();
      return [us, value, value - random(), random() < 0.0005 ? 1000 * random() : value] as const;
    });
    const late = Math.floor(40_000 * random());
    const buffer = bufferOf([...samples.slice(0, late), ...samples.slice(late + 3000)], 1);
    const look = (fromUs: number, toUs: number): PixelColumns => new PixelColumns(findColumns(buffers({ buffer }), frame(fromUs, toUs), { kind: "columns", channels: ["buffer"], width: 150 }, new ColumnPool())[0]!);
    look(0, us);
    const missing = samples.slice(late, late + 3000);
    const column = (k: 1 | 2 | 3): Float64Array => Float64Array.from(missing, (one) => one[k]);
    if (missing.length > 0) buffer.insert({ index: 0, dt: Uint32Array.from(missing, ([at]) => at), last: column(1), minimum: column(2), maximum: column(3) }, 0, 1);
    buffer.trim(us * 0.1);
    const fromUs = us * 0.15;
    const found = look(fromUs, us);
    const perPixel = (us - fromUs) / 150;
    const kept = samples.filter(([at, value]) => at >= fromUs && !Number.isNaN(value));
    for (let pixel = 0; pixel < 150; pixel++) {
      const inside = kept.filter(([at]) => Math.floor((at - fromUs) / perPixel) === pixel);
      const here = Array.from({ length: found.n }, (_, c) => c).filter((c) => Math.floor(found.x[c]!) === pixel);
      const extremes = (k: 1 | 2 | 3) => [Math.min(...inside.map((one) => one[k])), Math.max(...inside.map((one) => one[k]))];
      expect([Math.min(...here.map((c) => found.low[c]!)), Math.max(...here.map((c) => found.high[c]!))]).toEqual(extremes(1));
      expect(Math.min(...here.map((c) => found.minimum[c]!))).toBe(extremes(2)[0]);
      expect(Math.max(...here.map((c) => found.maximum[c]!))).toBe(extremes(3)[1]);
    }
    const gaps = kept.filter(([at], i) => i > 0 && at - kept[i - 1]![0] > 1e6).length;
    expect([...found.isBroken.subarray(1, found.n)].filter((broken) => broken === 1).length).toBeGreaterThanOrEqual(gaps);
  });

  it("keep a gap inside a dense time, also after late data came", () => {
    const at = (i: number): number => i * 10_000 + (i >= 50_000 ? 60_000_000 : 0);
    const holed = bufferOf(Array.from({ length: 100_000 }, (_, i) => [at(i), 1] as const));
    const ask = () => {
      const [packed] = findColumns(buffers({ holed }), frame(0, at(100_000)), { kind: "columns", channels: ["holed"], width: 200 }, new ColumnPool());
      const columns = new PixelColumns(packed!);
      return [...columns.isBroken.subarray(1, columns.n)].filter((broken) => broken === 1).length;
    };
    expect(ask()).toBe(1);
    const late = Uint32Array.from({ length: 6000 }, (_, i) => 500_000_000 + i * 10_000);
    holed.insert({ index: 0, dt: late, last: new Float64Array(6000).fill(1), minimum: null, maximum: null }, 0, 1);
    expect(ask()).toBe(0);
  });

  it("convert to another unit, and travel as they are", () => {
    const columns = new PixelColumns();
    columns.fill(bufferOf([[0, 10], [500_000, 20]]), 0, 1e6, 10_000);
    const travelled = new PixelColumns(columns.pack());
    travelled.convert(1.8, 32);
    expect([...travelled.last.subarray(0, travelled.n)]).toEqual([50, 68]);
  });
});

describe("pairs", () => {
  it("join values that hold at the same time, never over a gap", () => {
    const x = bufferOf([[0, 1], [100_000, 2], [200_000, 3], [9_000_000, 4]]);
    const y = bufferOf([[0, 10], [200_000, 30]]);
    const found = findPairs(buffers({ x, y }), frame(0, 10_000_000), { kind: "pairs", x: "x", y: "y", colour: null })!;
    expect([...found.x.subarray(0, found.n)]).toEqual([1, 2, 3]);
    expect([...found.y.subarray(0, found.n)]).toEqual([10, 10, 30]);
  });
});

describe("histogram", () => {
  it("tells how long each value held", () => {
    const steps = bufferOf([[0, 1], [3_000_00, 2], [400_000, 2]]);
    const found = findHistogram(buffers({ steps }), frame(0, 1_000_000), { kind: "histogram", channel: "steps", bins: 2 })!;
    expect(found.seconds.reduce((sum, one) => sum + one, 0)).toBeCloseTo(1, 6);
    expect(found.seconds[0]).toBeCloseTo(0.3, 6);
  });

  it("is none without finite values", () => {
    expect(findHistogram(buffers({ a: bufferOf([[0, NaN]]) }), frame(0, 1), { kind: "histogram", channel: "a", bins: 2 })).toBeNull();
  });
});

describe("track", () => {
  it("carries the colour channel and is thinned without losing its end", () => {
    const n = 20_000;
    const latitude = bufferOf(Array.from({ length: n }, (_, i) => [i * 100_000, 48 + i * 1e-6] as const), 100_000);
    const longitude = bufferOf(Array.from({ length: n }, (_, i) => [i * 100_000, 2 + i * 1e-6] as const), 100_000);
    const speed = bufferOf(Array.from({ length: n }, (_, i) => [i * 100_000, i] as const), 100_000);
    const track = findTrack(buffers({ latitude, longitude, speed }), frame(0, n * 100_000), { kind: "track", latitude: "latitude", longitude: "longitude", valid: null, colour: "speed" })!;
    expect(track.n).toBeLessThanOrEqual(6000);
    expect(track.times[track.n - 1]).toBe((n - 1) * 100_000);
    expect(track.colours[track.n - 1]).toBe(n - 1);
  });
});
