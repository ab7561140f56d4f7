import { describe, expect, it } from "vitest";
import { comparedLaps } from "../src/laps/compared";
import { deltas, interpolate, partAt, reachesEnd, secondsAt, traceOf, valuesOf } from "../src/laps/overlay";
import type { Lap, Series } from "../src/laps/rest";
import { gapTime, lapTime } from "../src/laps/text";

const lapOf = (time_s: number): Lap => ({ number: 1, utc_from_us: 1e9, utc_to_us: 1e9 + time_s * 1e6, time_s, length_m: 1000, is_whole: true, sectors_s: [] });

/** A way straight to the north, whose part done at `seconds` is given. */
function northward(time_s: number, partOf: (seconds: number) => number) {
  const t_us = Array.from({ length: 201 }, (_, i) => 1e9 + (i / 200) * time_s * 1e6);
  const series = (last: (number | null)[]): Series => ({ name: "", unit: "", t_us, last });
  return traceOf(lapOf(time_s), series(t_us.map((us) => 48 + 0.01 * partOf((us - 1e9) / 1e6))), series(t_us.map(() => 2)));
}

describe("lap overlay", () => {
  it("knows the place at a time and the time at a place", () => {
    const trace = northward(60, (seconds) => (seconds / 60) ** 2);
    expect(partAt(trace, 30)).toBeCloseTo(0.25, 3);
    expect(secondsAt(trace, 0.25)).toBeCloseTo(30, 1);
    expect([secondsAt(trace, 0), secondsAt(trace, 1)]).toEqual([0, 60]);
  });

  it("delta-T is zero at the start and the difference of the lap times at the end", () => {
    const reference = northward(60, (seconds) => seconds / 60);
    const slower = northward(63, (seconds) => seconds / 63);
    const found = deltas(slower, reference, 101);
    expect(found[0]).toBe(0);
    expect(found[50]).toBeCloseTo(1.5, 2);
    expect(found[100]).toBeCloseTo(3, 9);
    expect(Math.max(...deltas(reference, reference, 50))).toBe(0);
  });

  it("tells a lap whose last seconds are not stored yet", () => {
    const upTo = (seconds: number, value: number | null = 1): Series => ({ name: "", unit: "", t_us: [1e9, 1e9 + seconds * 1e6], last: [1, value] });
    expect(reachesEnd(lapOf(50), [upTo(49.9)])).toBe(true);
    expect(reachesEnd(lapOf(50), [upTo(20), upTo(49.5)])).toBe(true);
    expect(reachesEnd(lapOf(50), [upTo(45)])).toBe(false);
    expect(reachesEnd(lapOf(50), [upTo(49.9, null)])).toBe(false);
    expect(reachesEnd(lapOf(50), [])).toBe(false);
  });

  it("goes on without positions, and leaves out what is no number", () => {
    const trace = traceOf(lapOf(50), undefined, undefined);
    expect(secondsAt(trace, 0.5)).toBe(25);
    const { seconds, values } = valuesOf(lapOf(50), { name: "", unit: "", t_us: [1e9, 1.001e9, 1.002e9], last: [1, null, 3] });
    expect([...seconds]).toEqual([0, 2]);
    expect([...values]).toEqual([1, 3]);
    expect(interpolate(Float64Array.of(0, 0, 1), Float64Array.of(1, 2, 4), 0.5)).toBe(3);
  });

  it("writes times as people read them", () => {
    expect([lapTime(83.4567), lapTime(59.9), lapTime(60), gapTime(-0.25), gapTime(0)]).toEqual(["1:23.457", "59.900", "1:00.000", "−0.250", "+0.000"]);
  });
});

describe("laps that are compared", () => {
  const lap = (number: number, time_s: number, is_whole = true): Lap => ({ ...lapOf(time_s), number, is_whole });
  const laps = [lap(1, 70), lap(2, 65), lap(3, 68), lap(4, 66), lap(5, 20, false)];
  const numbers = (picked: number[], reference: number | null): number[] => comparedLaps(laps, picked, reference).map((one) => one.number);

  it("are the best and the last when nobody chose", () => {
    expect(numbers([], null)).toEqual([2, 4]);
  });
  it("stand against the lap that was chosen, with the best beside it", () => {
    expect(numbers([], 1)).toEqual([1, 2, 4]);
    expect(numbers([3, 4], 4)).toEqual([4, 3]);
  });
  it("fall back to the best where the chosen one is not whole or gone", () => {
    expect(numbers([1], 5)).toEqual([2, 1]);
    expect(numbers([1], 9)).toEqual([2, 1]);
    expect(comparedLaps([lap(1, 9, false)], [], null)).toEqual([]);
  });
});
