import { describe, expect, it } from "vitest";
import { positionIn } from "../src/maths/rest";
import { boxOf, placeOf, pointOf, type Place } from "../src/sessions/drawing";
import { exportUrl, windowUrl, type SessionLine } from "../src/sessions/rest";
import { changeOf, changesOf, fieldOf, fits, moment, tagsOf, writtenOf } from "../src/sessions/text";

const session: SessionLine = {
  id: "a1",
  vehicle: "fs",
  utc_from_us: Date.UTC(2026, 6, 4, 14, 30) * 1000,
  utc_to_us: Date.UTC(2026, 6, 4, 15, 0) * 1000,
  duration_s: 1800,
  is_open: false,
  has_moved: true,
  name: "Endurance",
  driver: "Léa",
  setup: "",
  notes: "",
  tags: ["Rain", "night"],
  track: { id: "t", name: "Montlhéry" },
  laps: 3,
  best_lap_s: 60.5,
};

describe("sessions", () => {
  it("are found by all words of a search, in any order and case", () => {
    expect(fits(session, "")).toBe(true);
    expect(fits(session, "rain léa")).toBe(true);
    expect(fits(session, "MONT endur 2026-07")).toBe(true);
    expect(fits(session, "rain dry")).toBe(false);
  });

  it("give what is in view as a table", () => {
    const url = new URL(windowUrl("a1", ["A.x", "B.&"], 20, 1000.4, 2000.2), "http://x");
    expect(url.pathname).toBe("/api/sessions/a1/export");
    expect(url.searchParams.getAll("channel")).toEqual(["A.x", "B.&"]);
    expect(url.searchParams.get("within_us")).toBe("1000-2001");
  });

  it("have tags as people write them", () => {
    expect(tagsOf(" rain, night,,rain ")).toEqual(["rain", "night"]);
    expect(tagsOf("")).toEqual([]);
  });

  it("tell what was changed", () => {
    const edit = { utc_us: 0, who: "ada", before: { name: "", tags: ["a"], notes: "x" }, after: { name: "Run", tags: ["a", "b"], notes: "x" } };
    expect(changesOf(edit)).toEqual([
      ["name", "Run"],
      ["tags", "a, b"],
    ]);
    expect(changesOf({ utc_us: 0, who: "ada", before: null, after: { split: "b2" } })).toEqual([["split", "b2"]]);
  });

  it("come as files, whole or a lap", () => {
    expect(exportUrl("a/1", "csv", null)).toBe("/api/sessions/a%2F1/export?format=csv");
    expect(exportUrl("a1", "mat", 3)).toBe("/api/sessions/a1/export?format=mat&lap=3");
    const local = new Date(2026, 6, 4, 14, 30).getTime() * 1000;
    expect(moment(local)).toBe("2026-07-04 14:30");
    expect(Date.parse(fieldOf(local)) * 1000).toBe(local);
  });
});

describe("what is written about a session", () => {
  const notes = { name: "Run", driver: "", setup: "", notes: "", tags: ["rain"] };

  it("is sent where it is another than before, so that what others wrote stays", () => {
    const before = writtenOf(notes);
    expect(changeOf(before, before)).toEqual({});
    expect(changeOf(before, { ...before, notes: "wet" })).toEqual({ notes: "wet" });
    expect(changeOf(before, { ...before, name: " Race ", tags: "rain, night" })).toEqual({ name: "Race", tags: ["rain", "night"] });
    expect(changeOf(before, { ...before, tags: "" })).toEqual({ tags: [] });
  });
});

describe("a drawing of a track", () => {
  const places: Place[] = [
    [48.97, 2.52],
    [48.98, 2.53],
  ];

  it("holds all places, north up", () => {
    const box = boxOf(places, 600, 400);
    const [low, high] = places.map((place) => pointOf(place, box));
    expect(low![1]).toBeGreaterThan(high![1]);
    for (const [x, y] of [low!, high!]) {
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x).toBeLessThanOrEqual(600);
      expect(y).toBeGreaterThanOrEqual(0);
      expect(y).toBeLessThanOrEqual(400);
    }
  });

  it("gives the place of a click", () => {
    const box = boxOf(places, 600, 400);
    const [north, east] = placeOf(pointOf([48.9764, 2.5251], box), box);
    expect(north).toBeCloseTo(48.9764, 9);
    expect(east).toBeCloseTo(2.5251, 9);
    expect(pointOf([0, 0], boxOf([], 600, 400)).every(Number.isFinite)).toBe(true);
  });
});

describe("an expression", () => {
  it("is wrong where the server says", () => {
    expect(positionIn("position 23: channel 'Currnt': there is none")).toBe(23);
    expect(positionIn("position 23\u00a0: voie «\u00a0Currnt\u00a0»\u00a0: introuvable")).toBe(23);
    expect(positionIn("vehicle 'x': there is none")).toBeNull();
  });
});
