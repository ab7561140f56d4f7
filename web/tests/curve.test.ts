import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const points: (readonly [string, number, number])[] = [];

class FakePath {
  moveTo(x: number, y: number): void {
    points.push(["move", x, y]);
  }
  lineTo(x: number, y: number): void {
    points.push(["line", x, y]);
  }
}

beforeEach(() => {
  points.length = 0;
  vi.stubGlobal("Path2D", FakePath);
});
afterEach(() => vi.unstubAllGlobals());

/** Where the thinned path stands at x. */
function yAt(x: number): number {
  for (let i = 1; i < points.length; i++) {
    const [, x0, y0] = points[i - 1]!;
    const [kind, x1, y1] = points[i]!;
    if (kind === "line" && x0 <= x && x <= x1) return x1 === x0 ? y1 : y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
  }
  return NaN;
}

describe("Pen", () => {
  it("leaves out what a line shows as well, and stays near everything else", async () => {
    const { Pen } = await import("../src/plot/curve");
    const pen = new Pen();
    const curve = (x: number): number => 60 * Math.sin(x / 40) + 10 * Math.sin(x / 7);
    pen.move(0, curve(0));
    for (let x = 1; x <= 600; x++) pen.line(x, curve(x));
    pen.finish();
    expect(points.length).toBeLessThan(300);
    for (let x = 0; x <= 600; x++) expect(Math.abs(yAt(x) - curve(x))).toBeLessThan(0.75);
    expect(points.at(-1)).toEqual(["line", 600, curve(600)]);
  });

  it("keeps corners, steps and single spikes", async () => {
    const { Pen } = await import("../src/plot/curve");
    const pen = new Pen();
    pen.move(0, 0);
    for (const [x, y] of [[5, 0], [10, 0], [10, 50], [15, 50], [16, -80], [17, 50], [30, 50]] as const) pen.line(x, y);
    pen.finish();
    expect(points.map(([, x, y]) => [x, y])).toEqual([[0, 0], [10, 0], [10, 50], [15, 50], [16, -80], [17, 50], [30, 50]]);
  });

  it("breaks where it is told", async () => {
    const { Pen } = await import("../src/plot/curve");
    const pen = new Pen();
    pen.move(0, 0);
    pen.line(5, 1);
    pen.move(9, 9);
    pen.line(10, 9);
    pen.finish();
    expect(points).toEqual([["move", 0, 0], ["line", 5, 1], ["move", 9, 9], ["line", 10, 9]]);
  });
});
