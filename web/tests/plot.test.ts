import { describe, expect, it } from "vitest";
import { lampOf } from "../src/app/lamp";
import { clampRange, panRange, zoomRange } from "../src/time/timeRange";
import { ChannelBuffer } from "../src/buffer/channelBuffer";
import { PixelColumns } from "../src/plot/columnise";
import { decimalsFor, formatChoice, formatNumber, formatTime, splitDuration } from "../src/plot/format";
import { circlesTo, niceRange, steadyRange } from "../src/plot/range";
import { unchangedOr } from "../src/panels/StripChart/series";

function bufferOf(samples: readonly (readonly [number, number])[], bucketUs = 1000): ChannelBuffer {
  const buffer = new ChannelBuffer(bucketUs);
  const last = Float64Array.from(samples, ([, value]) => value);
  buffer.insert({ index: 0, dt: Uint32Array.from(samples, ([us]) => us), last, minimum: null, maximum: null }, 0, 1);
  return buffer;
}

describe("pixel columns", () => {
  it("keep a spike among many samples of a pixel", () => {
    const columns = new PixelColumns();
    const samples = Array.from({ length: 1000 }, (_, i) => [i * 1000, i === 512 ? 99 : 0] as const);
    columns.fill(bufferOf(samples), 0, 1_000_000, 100_000);
    expect(columns.n).toBe(10);
    expect([...columns.high.subarray(0, 10)]).toEqual([0, 0, 0, 0, 0, 99, 0, 0, 0, 0]);
    expect([...columns.maximum.subarray(0, 10)]).toEqual([0, 0, 0, 0, 0, 99, 0, 0, 0, 0]);
  });

  it("break at NaN and at a long silence, and only there", () => {
    const columns = new PixelColumns();
    columns.fill(bufferOf([[0, 1], [10_000, 2], [20_000, NaN], [30_000, 3], [40_000, 4], [3_000_000, 5]]), 0, 4_000_000, 1000);
    expect(columns.n).toBe(5);
    expect([...columns.isBroken.subarray(0, 5)]).toEqual([1, 0, 1, 0, 1]);
  });

  it("take one sample beyond each side, so that lines reach the borders", () => {
    const columns = new PixelColumns();
    columns.fill(bufferOf([[0, 1], [10_000, 2], [20_000, 3], [30_000, 4], [40_000, 5]]), 15_000, 25_000, 100);
    expect([...columns.last.subarray(0, columns.n)]).toEqual([2, 3, 4]);
    expect(columns.x[0]).toBe(-50);
  });
});

describe("a chart's curves", () => {
  const speed = { name: "Motion.Speed", unit: "km/h", conversion: { unit: "km/h", factor: 1, offset: 0 }, isStep: false, choices: [], colour: "#123456" };

  it("stay the same where definitions come anew and say nothing new", () => {
    const before = [speed, { ...speed, name: "Motion.Yaw" }];
    expect(unchangedOr(before, structuredClone(before))).toBe(before);
    for (const now of [[speed], [before[1]!, speed], [speed, { ...before[1]!, unit: "m/s" }]]) expect(unchangedOr(before, now)).toBe(now);
  });
});

describe("y ranges", () => {
  it("hold the data on whole steps", () => {
    expect(niceRange(3, 97)).toEqual({ low: 0, high: 100 });
    expect(niceRange(-1.2, 4)).toEqual({ low: -2, high: 5 });
  });
  it("give flat data room", () => {
    const { low, high } = niceRange(5, 5);
    expect(low).toBeLessThan(5);
    expect(high).toBeGreaterThan(5);
    expect(niceRange(0, 0).high).toBeGreaterThan(0);
  });
  it("survive nothing, infinities and tiny spans", () => {
    expect(niceRange(Infinity, -Infinity)).toEqual({ low: 0, high: 1 });
    expect(niceRange(-Infinity, 3)).toEqual({ low: 0, high: 1 });
    const { low, high } = niceRange(1e15, 1e15 + 1);
    expect(high).toBeGreaterThan(low);
  });
  it("stay still for small changes, follow large ones", () => {
    const before = { low: 0, high: 100 };
    expect(steadyRange(before, { low: 0, high: 80 })).toBe(before);
    expect(steadyRange(before, { low: 0, high: 40 })).toEqual({ low: 0, high: 40 });
    expect(steadyRange(before, { low: 0, high: 120 })).toEqual({ low: 0, high: 120 });
  });
});

describe("circles", () => {
  it("are few, round and within reach, whatever the samples are", () => {
    expect(circlesTo(1)).toEqual([0.5, 1]);
    expect(circlesTo(2.5)).toEqual([0.5, 1, 1.5, 2, 2.5]);
    for (const reach of [1, 3.5, 31, 300, 1e6, 1e30]) {
      const circles = circlesTo(reach);
      expect(circles.length).toBeGreaterThan(1);
      expect(circles.length).toBeLessThanOrEqual(8);
      expect(circles.at(-1)).toBeLessThanOrEqual(reach * 1.000001);
    }
  });
});

describe("numbers", () => {
  it("have decimals that suit the span", () => {
    expect([6000, 100, 5, 0.01, 0].map((span) => decimalsFor(span))).toEqual([0, 0, 2, 4, 1]);
    expect([6000, 100, 5].map((span) => decimalsFor(span, 4))).toEqual([0, 1, 3]);
  });
  it("are written in the language", () => {
    expect(formatNumber(-12.345, 1, "fr")).toBe("−12,3");
    expect(formatNumber(-0.001, 1, "en")).toBe("0.0");
    expect(formatNumber(NaN, 1, "en")).toBe("–");
    expect(formatNumber(-Infinity, 1, "en")).toBe("−∞");
    expect(formatNumber(1.5e12, 1, "en")).toBe("1.500e+12");
  });
  it("are the text of a value table where there is one", () => {
    expect(formatChoice(2, [[1, "a"], [2, "b"]])).toBe("b");
    expect(formatChoice(3, [[1, "a"]])).toBeNull();
  });
  it("times are local", () => {
    const us = new Date(2024, 4, 3, 14, 5, 9, 87).getTime() * 1000;
    expect(formatTime(us)).toBe("14:05:09");
    expect(formatTime(us, 2)).toBe("14:05:09.08");
    expect(formatTime(-Infinity)).toBe("--:--:--");
  });
  it("durations have the unit of their size", () => {
    expect([0, 999, 12_000, 125_000, 7.3e6, 2e8].map(splitDuration)).toEqual([
      { value: "0.0", unit: "s" },
      { value: "1.0", unit: "s" },
      { value: "12", unit: "s" },
      { value: "2", unit: "min" },
      { value: "2", unit: "h" },
      { value: "2", unit: "d" },
    ]);
  });
});

describe("state lamp", () => {
  it.each([
    [true, "up", 20, "live"],
    [true, "unknown", 999, "live"],
    [true, "up", 1000, "stale"],
    [true, "down", 1000, "offline"],
    [true, "down", 200, "live"],
    [true, "up", 60_000, "stale"],
    [true, "unknown", 60_000, "offline"],
    [true, "up", null, "offline"],
    [false, "up", 20, "offline"],
  ] as const)("connected %s, link %s, age %s: %s", (isConnected, link, ageMs, lamp) => {
    expect(lampOf(isConnected, link, ageMs)).toBe(lamp);
  });
});

describe("time range", () => {
  const bounds = { fromUs: 0, toUs: 60e6 };
  it("stays inside the window", () => {
    expect(clampRange({ fromUs: -5e6, toUs: 5e6 }, bounds)).toEqual({ fromUs: 0, toUs: 10e6 });
    expect(clampRange({ fromUs: 0, toUs: 100e6 }, bounds)).toEqual(bounds);
    expect(clampRange({ fromUs: 30e6, toUs: 30e6 }, bounds).toUs).toBeGreaterThan(30e6);
  });
  it("zooms about a time that stays", () => {
    expect(zoomRange({ fromUs: 20e6, toUs: 40e6 }, 0.5, 30e6, bounds)).toEqual({ fromUs: 25e6, toUs: 35e6 });
    expect(zoomRange({ fromUs: 20e6, toUs: 40e6 }, 100, 30e6, bounds)).toEqual(bounds);
  });
  it("pans to the border and not further", () => {
    expect(panRange({ fromUs: 20e6, toUs: 40e6 }, 0.5, bounds)).toEqual({ fromUs: 30e6, toUs: 50e6 });
    expect(panRange({ fromUs: 20e6, toUs: 40e6 }, 9, bounds)).toEqual({ fromUs: 40e6, toUs: 60e6 });
  });
});
