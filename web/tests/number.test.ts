import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { formatNumber } from "../src/plot/format";
import { decimalsIn, isNumber, NumberPen } from "../src/plot/number";

/** Each glyph's width is another one. */
const widthOf = (text: string): number => [...text].reduce((sum, glyph) => sum + 5 + (glyph.charCodeAt(0) % 7), 0);

class FakeContext {
  drawn: (readonly [glyph: string, x: number])[] = [];
  font = "";
  fillStyle = "";
  clearRect(): void {
    this.drawn = [];
  }
  measureText(text: string): object {
    return { width: widthOf(text), fontBoundingBoxAscent: 15, fontBoundingBoxDescent: 5 };
  }
  fillText(glyph: string, x: number): void {
    this.drawn.push([glyph, x]);
  }
}

let align = "right";
let context: FakeContext;
let canvas: HTMLCanvasElement;

beforeEach(() => {
  context = new FakeContext();
  canvas = { width: 0, height: 0, getContext: () => context } as unknown as HTMLCanvasElement;
  const style = (): object => ({ fontFamily: "system-ui", fontSize: "18px", fontWeight: "650", color: "rgb(1, 2, 3)", textAlign: align });
  vi.stubGlobal("getComputedStyle", style);
});
afterEach(() => vi.unstubAllGlobals());

function places(text: string, ratio = 1): readonly (readonly [glyph: string, x: number])[] {
  new NumberPen(canvas, 100, 20, ratio).write(text);
  return context.drawn;
}

describe("numbers that are drawn", () => {
  it("are all texts of numbers, in both languages", () => {
    for (const value of [0, -0, 1.5, -12.345, 1e12, -1e12, 2e-9, -2e-9, NaN, Infinity, -Infinity]) {
      for (const language of ["en", "fr"]) expect(isNumber(formatNumber(value, 2, language)), String(value)).toBe(true);
    }
  });

  it("have decimals", () => {
    expect(["–", "12", "−1.5", "0,250"].map(decimalsIn)).toEqual([0, 0, 1, 3]);
  });

  it("are no words, markup or nothing", () => {
    for (const text of ["OPEN", "R2D", "12 V", "<b>1</b>", "١٢", ""]) expect(isNumber(text), text).toBe(false);
  });

  it("keep their digits in columns, whatever a font's digits measure", () => {
    align = "right";
    const [zeros, others] = [places("-00.0"), places("-19.7")];
    expect(others.map(([, x]) => x)).toEqual(zeros.map(([, x]) => x));
    expect(others.map(([glyph]) => glyph).join("")).toBe("-19.7");
  });

  it("stand where the page's style has them", () => {
    align = "right";
    const [glyph, x] = places("20.5").at(-1)!;
    expect([glyph, x + widthOf("0")]).toEqual(["5", 100]);
    align = "center";
    expect(places("00")[0]![1]).toBe((100 - 2 * widthOf("0")) / 2);
    align = "start";
    expect(places("00")[0]![1]).toBe(0);
  });

  it("say how much room they need, whatever their size", () => {
    const needed = new NumberPen(canvas, 100, 20, 2).emsOf("-10.5");
    expect(needed).toBeCloseTo((widthOf("-0.") + 2 * widthOf("0") + 1) / 36);
  });

  it("are as fine as the screen", () => {
    places("1", 2);
    expect([canvas.width, canvas.height, context.font, context.fillStyle]).toEqual([200, 40, "650 36px system-ui", "rgb(1, 2, 3)"]);
  });
});
