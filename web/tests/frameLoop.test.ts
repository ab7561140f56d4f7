import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FrameLoop } from "../src/plot/frameLoop";

let callbacks: ((ms: number) => void)[];

function step(ms: number): void {
  const due = callbacks;
  callbacks = [];
  for (const callback of due) callback(ms);
}

beforeEach(() => {
  callbacks = [];
  vi.stubGlobal("requestAnimationFrame", (callback: (ms: number) => void) => callbacks.push(callback));
});

afterEach(() => vi.unstubAllGlobals());

describe("FrameLoop", () => {
  it("draws only what changed, then rests", () => {
    const loop = new FrameLoop();
    let drawn = 0;
    loop.add(() => drawn++);
    step(0);
    step(17);
    expect(drawn).toBe(1);
    expect(callbacks.length).toBe(0);
    loop.dirty();
    loop.dirty();
    expect(callbacks.length).toBe(1);
    step(50);
    expect(drawn).toBe(2);
  });

  it.each([
    [1000 / 60, 31],
    [1000 / 144, 36],
  ])("draws about 30 times per second on a screen with a frame each %d ms", (frameMs, most) => {
    const loop = new FrameLoop();
    let drawn = 0;
    loop.add(() => drawn++);
    for (let ms = 0; ms < 1000; ms += frameMs) {
      loop.dirty();
      step(ms);
    }
    expect(drawn).toBeGreaterThanOrEqual(27);
    expect(drawn).toBeLessThanOrEqual(most);
  });

  it("draws less often where a drawn frame takes long", () => {
    const loop = new FrameLoop();
    let drawn = 0;
    let lastDrawn = 0;
    loop.add(() => drawn++);
    for (let ms = 0; ms < 5000; ms += drawn > lastDrawn ? 80 : 17) {
      lastDrawn = drawn;
      loop.dirty();
      step(ms);
    }
    expect(drawn).toBeLessThan(5000 / 100);
    expect(drawn).toBeGreaterThan(5000 / 200);
  });
});
