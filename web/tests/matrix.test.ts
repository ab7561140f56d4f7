import { describe, expect, it } from "vitest";
import { summaryOf } from "../src/panels/Matrix/summary";
import type { Reading } from "../src/query/query";

const reading = (value: number, isOld = false): Reading => ({ us: 0, value, isOld, size: Math.abs(value), statistics: null });

describe("the figures above the cells", () => {
  it("leave out cells that stopped, and say how many", () => {
    const summary = summaryOf([reading(2, true), reading(4), reading(8), null, reading(NaN)], false);
    expect([summary.ends, summary.mean, summary.isOld, summary.left]).toEqual([{ low: 4, high: 8 }, 6, false, 1]);
    expect(summary.extremes).toEqual([1, 2]);
  });

  it("are grey when nothing arrives any more, or the whole view is stale", () => {
    for (const [readings, isStale] of [[[reading(2, true), reading(4, true)], false], [[reading(2), reading(4)], true]] as const) {
      const summary = summaryOf(readings, isStale);
      expect([summary.ends, summary.mean, summary.isOld, summary.left]).toEqual([{ low: 2, high: 4 }, 3, true, 0]);
    }
  });

  it("are empty without any value, and mark no cell where all are alike", () => {
    expect([summaryOf([], false).ends, summaryOf([null, undefined], false).ends]).toEqual([null, null]);
    expect(summaryOf([reading(3), reading(3)], false).extremes).toEqual([]);
  });
});
