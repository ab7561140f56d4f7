import { expect, test } from "vitest";
import { SECTIONS, sectionOf } from "../src/extend/sections";

test("each section has an address of its own, and the first one is shown without any", () => {
  const ids = SECTIONS.map((section) => section.id);
  for (const id of ids) expect(id).toMatch(/^[a-z]+$/);
  expect(new Set(ids).size).toBe(ids.length);
  expect(sectionOf(null)).toBe(ids[0]);
  for (const id of ids) expect(sectionOf(id)).toBe(id);
  expect(sectionOf("nowhere")).toBe(ids[0]);
});
