import { describe, expect, it } from "vitest";
import { PixelColumns } from "../src/plot/columnise";
import { ChannelBuffer } from "../src/buffer/channelBuffer";
import { isDense, Raster, rgbOf } from "../src/plot/raster";

function columnsOf(values: readonly number[], stepUs = 1, minimum = values, maximum = values): PixelColumns {
  const buffer = new ChannelBuffer(1);
  buffer.insert({ index: 0, dt: Uint32Array.from(values, (_, i) => i * stepUs), last: Float64Array.from(values), minimum: Float64Array.from(minimum), maximum: Float64Array.from(maximum) }, 0, 1);
  const columns = new PixelColumns();
  columns.fill(buffer, 0, values.length * stepUs, 1);
  return columns;
}

/** Opacity of each pixel, row by row from the top. */
function drawn(columns: PixelColumns, width: number, height: number, low = 0, high = height): number[][] {
  const raster = new Raster();
  raster.begin(width, height);
  raster.curve(columns, "#ff0000", { low, high, widthPx: 1, isStep: false });
  return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (__, x) => raster.pixels[(row * width + x) * 4 + 3]!));
}

describe("raster", () => {
  it("reads colours", () => expect(rgbOf("#12abff")).toEqual([0x12, 0xab, 0xff]));

  it("is for columns that stand close", () => {
    expect(isDense(columnsOf([1, 2, 3, 4]))).toBe(true);
    expect(isDense(columnsOf([1, 2, 3, 4], 3))).toBe(false);
  });

  it("a level line is one pixel thick, with soft ends where it lies between two", () => {
    expect(drawn(columnsOf([1.5, 1.5, 1.5]), 3, 4).map((row) => row[1])).toEqual([0, 0, 255, 0]);
    const [, upper, lower] = drawn(columnsOf([2, 2, 2]), 3, 4).map((row) => row[1]!);
    expect([upper, lower].every((one) => Math.abs(one! - 128) <= 1)).toBe(true);
  });

  it("a jump is joined, a spike of one sample reaches its value, and the band is faint", () => {
    const jump = drawn(columnsOf([0.5, 0.5, 9.5, 9.5]), 4, 10);
    expect(jump.every((row) => row.some((one) => one === 255))).toBe(true);
    const spike = drawn(columnsOf([1.5, 1.5, 1.5], 1, [1.5, 1.5, 1.5], [1.5, 9, 1.5]), 3, 10);
    expect(spike[2]![1]).toBeGreaterThan(60);
    expect(spike[2]![1]).toBeLessThan(100);
    expect(spike[2]![0]).toBe(0);
  });

  it("columns that are no neighbours are joined", () => {
    const joined = drawn(columnsOf([1, 2, 3, 4, 5, 6, 7, 8], 2), 16, 10);
    for (let x = 0; x <= 14; x++) expect(joined.some((row) => row[x]! > 100), String(x)).toBe(true);
  });

  it("a gap stays empty", () => {
    const columns = columnsOf([5, 5, NaN, 5, 5]);
    expect(drawn(columns, 5, 10).every((row) => row[2] === 0)).toBe(true);
  });

  it("stays inside for values beyond the axis", () => {
    expect(() => drawn(columnsOf([-1e9, 1e9, 0]), 3, 4)).not.toThrow();
  });
});
