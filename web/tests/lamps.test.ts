import { describe, expect, it } from "vitest";
import { columnsOf } from "../src/panels/Lamps/columns";

describe("the lamps' columns", () => {
  it("are as wide as reads well while all rows are seen", () => {
    expect(columnsOf(10, 980, 120)).toBe(6);
    expect(columnsOf(2, 980, 120)).toBe(2);
    expect(columnsOf(10, 374, 200)).toBe(2);
  });

  it("grow in number before the last row is cut", () => {
    expect(columnsOf(10, 526, 110)).toBe(4);
    expect(columnsOf(12, 526, 100)).toBe(4);
  });

  it("stay wide enough to read: the rest is scrolled to; and without room there is one", () => {
    expect(columnsOf(32, 250, 66)).toBe(2);
    expect(columnsOf(5, 0, 0)).toBe(1);
    expect(columnsOf(0, 300, 100)).toBe(1);
  });
});
