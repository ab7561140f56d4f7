import { describe, expect, test } from "vitest";
import { i18n } from "../src/i18n/i18n.svelte";
import { bucketAt, bucketOf, looksOf, sumOf, type Ledger } from "../src/ledger/ledger";
import { linesOf } from "../src/ledger/words";

const ledger: Ledger = {
  from_utc_us: 100e6,
  bucket_us: 1e6,
  live: [10, 0, 10, 6, 0, 0],
  backfilled: [0, 10, 0, 4, 0, 0],
  missing: [0, 0, 3, 0, 8, 0],
  lost: { kernel: [0, 0, 2, 0, 0, 0] },
  uncounted: { car_crash: [0, 0, 0, 0, 1, 0] },
};

describe("the gap ledger", () => {
  test("a bucket looks as bad as its worst part", () => {
    const looks = ledger.live.map((_, i) => looksOf(bucketOf(ledger, i)));
    expect(looks).toEqual([
      { main: "live", worse: null },
      { main: "backfilled", worse: null },
      { main: "live", worse: "lost" },
      { main: "live", worse: "backfilled" },
      { main: null, worse: "lost" },
      { main: null, worse: null },
    ]);
  });

  test("a time finds its bucket", () => {
    expect([99e6, 100e6, 100.9e6, 105.9e6, 106e6].map((us) => bucketAt(ledger, us))).toEqual([null, 0, 0, 5, null]);
  });

  test("a view is the sum of its buckets; what nobody counted has no number", () => {
    expect(sumOf(ledger, { fromUs: 102e6, toUs: 105e6 })).toEqual({
      live: 16,
      backfilled: 4,
      missing: 11,
      lost: 2,
      places: [
        ["kernel", 2],
        ["car_crash", null],
      ],
    });
  });

  test("words, in both languages", () => {
    i18n.language = "en";
    expect(linesOf(bucketOf(ledger, 2))).toEqual(["Live: 10", "Missing (still on the car): 3", "Lost (in the car's kernel): 2"]);
    expect(linesOf(bucketOf(ledger, 5))).toEqual(["Nothing is known of this time"]);
    i18n.language = "fr";
    expect(linesOf(bucketOf(ledger, 4)).at(-1)).toBe("Perdues (l'agent ne tournait pas): nombre inconnu");
    i18n.language = "en";
  });
});
