import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FrameLoop } from "../src/plot/frameLoop";

let callbacks: ((ms: number) => void)[];

let clockMs = 0;

function step(ms: number): void {
  clockMs = ms;
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
    const loop = new FrameLoop(undefined, () => clockMs);
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

  it("after a rest, draws at once; not in a tab that nobody sees", async () => {
    const hidden = { hidden: false };
    vi.stubGlobal("document", hidden);
    const loop = new FrameLoop(undefined, () => clockMs);
    let drawn = 0;
    loop.add(() => drawn++);
    step(0);
    step(17);
    clockMs = 500;
    loop.dirty();
    loop.dirty();
    expect(drawn).toBe(1); // Not before the handler of the key has ended.
    await Promise.resolve();
    expect(drawn).toBe(2);
    step(517);
    hidden.hidden = true;
    clockMs = 1000;
    loop.dirty();
    await Promise.resolve();
    expect(drawn).toBe(2);
    step(1017);
    expect(drawn).toBe(3);
  });

  it.each([
    [1000 / 60, 61],
    [1000 / 144, 73],
  ])("draws about 60 times per second on a screen with a frame each %d ms", (frameMs, most) => {
    const loop = new FrameLoop(undefined, () => clockMs);
    let drawn = 0;
    loop.add(() => drawn++);
    for (let ms = 0; ms < 1000; ms += frameMs) {
      loop.dirty();
      step(ms);
    }
    expect(drawn).toBeGreaterThanOrEqual(57);
    expect(drawn).toBeLessThanOrEqual(most);
  });

  it("draws less often where a drawn frame takes long", () => {
    const loop = new FrameLoop(undefined, () => clockMs);
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

  it("asks for the next frame only when this one is ready", () => {
    let ready: (() => void) | null = null;
    let asked = 0;
    const loop = new FrameLoop((draw) => (asked++, (ready = draw)), () => clockMs);
    let drawn = 0;
    loop.add(() => drawn++);
    step(0);
    loop.dirty();
    for (let ms = 20; ms < 200; ms += 17) step(ms);
    expect([asked, drawn]).toEqual([1, 0]);
    ready!();
    expect(drawn).toBe(1);
    step(300);
    expect(asked).toBe(2);
  });
});
