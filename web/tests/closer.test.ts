import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { CloseLook } from "../src/buffer/closeLook";
import { KIND_HISTORY, KIND_INCREMENT, type ColumnsMessage } from "../src/protocol/columns";
import type { Watching } from "../src/protocol/messages";
import { bucketUsOf, closerPart } from "../src/time/closer";

const S = 1e6;

describe("the width of buckets", () => {
  it("is the one that the server chooses", () => {
    const text = readFileSync(fileURLToPath(new URL("../../tests/conformance/live/buckets.csv", import.meta.url)), "utf8");
    const rows = text.trim().split("\n").slice(1).map((line) => line.split(",").map(Number));
    expect(rows.length).toBeGreaterThan(400);
    for (const [rateHz, channels, windowS, bucketUs] of rows) expect(bucketUsOf({ rateHz: rateHz!, channels: channels!, windowS: windowS! })).toBe(bucketUs);
  });
});

describe("the part of the past to ask for", () => {
  const day = { rateHz: 50, channels: 20, windowS: 86_400 };
  const lap = { fromUs: 5000.2 * S, toUs: 5060.7 * S };

  it("is none where the window is as fine, or hardly longer than what is in view", () => {
    expect(closerPart(lap, { ...day, windowS: 240 }, null)).toBeNull();
    expect(closerPart({ fromUs: 0, toUs: 40_000 * S }, day, null)).toBeNull();
    expect(closerPart(lap, { ...day, windowS: 0 }, null)).toBeNull();
  });

  it("has what is in view, in samples as fine as were asked for, and room to move", () => {
    const part = closerPart(lap, day, null)!;
    expect(part.bucketUs).toBe(20_000);
    expect(part.fromUs).toBeLessThan(lap.fromUs - 60 * S);
    expect(part.toUs).toBeGreaterThan(lap.toUs + 60 * S);
    expect(Number.isInteger(part.toUs)).toBe(true);
  });

  it("stays while the view moves inside of it, and is another one beyond", () => {
    const part = closerPart(lap, day, null);
    const moved = (byS: number): ReturnType<typeof closerPart> => closerPart({ fromUs: lap.fromUs + byS * S, toUs: lap.toUs + byS * S }, day, part);
    expect(moved(-55)).toBe(part);
    expect(moved(55)).toBe(part);
    expect(moved(90)).not.toBe(part);
    expect(moved(90)).not.toBeNull();
  });

  it("gets finer as the view does", () => {
    const hour = { fromUs: 0, toUs: 3600 * S };
    const coarse = closerPart(hour, day, null)!;
    const fine = closerPart({ fromUs: 1800 * S, toUs: 1830 * S }, day, coarse)!;
    expect(coarse.bucketUs).toBeGreaterThan(500_000);
    expect(fine.bucketUs).toBe(20_000);
  });

  it("always holds the view and settles, for any view", () => {
    let state = 7;
    const random = (): number => (state = (state * 1664525 + 1013904223) >>> 0) / 2 ** 32;
    for (let k = 0; k < 2000; k++) {
      const fromUs = random() * 86_400 * S;
      const range = { fromUs, toUs: fromUs + 10 ** (random() * 6.5) * 20_000 };
      const watched = { rateHz: 1 + random() * 99, channels: Math.floor(random() * 200), windowS: 1 + random() * 86_399 };
      const part = closerPart(range, watched, null);
      if (part === null) continue;
      expect(part.fromUs <= range.fromUs && range.toUs <= part.toUs).toBe(true);
      expect(part.bucketUs).toBeLessThan(bucketUsOf(watched));
      expect(closerPart(range, watched, part)).toBe(part);
    }
  });
});

describe("a close look", () => {
  const channels = ["A.b", "A.slow"].map((name, index) => ({ index, name, unit: "", kind: "continuous" as const, choices: [], minimum: null, maximum: null }));
  const watching: Watching = { type: "watching", id: 2, vehicle: "fs", channels, unknown: [], rate_hz: 50, window_s: 10, bucket_us: 20_000, epoch: null, edge_utc_us: 100 * S };

  function message(kind: ColumnsMessage["kind"], samples: readonly (readonly [us: number, value: number])[], index = 0, isLast = false): ColumnsMessage {
    const last = Float64Array.from(samples, ([, value]) => value);
    const columns = [{ index, dt: Uint32Array.from(samples, ([us]) => us - 90 * S), last, minimum: last, maximum: last }];
    return { kind, subscription: 2, isLast, baseUs: 90 * S, tickUs: 1, sequence: 0, columns };
  }
  const values = (look: CloseLook): number[] => {
    const buffer = look.buffer("A.b")!;
    return [...buffer.last.slice(buffer.start, buffer.end)];
  };

  it("counts when all of it is there, for its time", () => {
    const look = new CloseLook(watching);
    look.accept(message(KIND_HISTORY, [[91 * S, 1], [92 * S, 2], [93 * S, 3]]));
    expect(look.covers(91 * S, 92 * S)).toBe(false);
    look.accept(message(KIND_HISTORY, [[91 * S, 5]], 1, true));
    expect([look.covers(90 * S, 100 * S), look.covers(89 * S, 92 * S), look.covers(99 * S, 101 * S)]).toEqual([true, false, false]);
    expect(values(look)).toEqual([1, 2, 3]);
  });

  it("leaves a channel to the window where it has too little of it, or nothing so early", () => {
    const look = new CloseLook(watching);
    look.accept(message(KIND_HISTORY, [[91 * S, 1], [92 * S, 2], [93 * S, 3]]));
    look.accept(message(KIND_HISTORY, [[91 * S, 5]], 1, true));
    expect([look.buffer("A.slow"), look.buffer("No.such"), look.buffer("A.b", 90.5 * S)]).toEqual([undefined, undefined, undefined]);
    expect(look.buffer("A.b", 91 * S)).toBeDefined();
  });

  it("takes in what comes late, and nothing newer than itself", () => {
    const look = new CloseLook(watching);
    look.accept(message(KIND_HISTORY, [[91 * S, 1], [93 * S, 3]], 0, true));
    look.accept(message(KIND_INCREMENT, [[92 * S, 2], [99 * S, 9], [101 * S, 11]]));
    expect(values(look)).toEqual([1, 2, 3, 9]);
  });
});
