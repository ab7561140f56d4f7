import { describe, expect, it } from "vitest";
import { en } from "../src/i18n/en";
import { actOf, KEYS, PAGE_LINES, SEARCH_KEYS, SEARCH_LINES, type Act } from "../src/layout/shortcuts";

const SOURCES = import.meta.glob<string>("../src/**/*.{svelte,ts}", { eager: true, query: "?raw", import: "default" });
const handlers = ["../src/app/App.svelte", "../src/live/Live.svelte"].map((path) => SOURCES[path]!).join("\n");
const ACTS = Object.keys(KEYS) as Act[];

const press = (key: string, more: Partial<KeyboardEvent> = {}) => actOf({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more });

describe("shortcuts", () => {
  it("all do something, and all stand in the help", () => {
    for (const act of ACTS) expect(handlers, act).toMatch(new RegExp(`^ {4}${act}: \\(`, "m"));
    const listed = new Set(PAGE_LINES.flatMap((line) => line.keys));
    for (const act of ACTS) for (const key of KEYS[act]) expect(listed, act).toContain(key);
    expect(SEARCH_LINES.flatMap((line) => line.keys)).toEqual([...SEARCH_KEYS]);
    for (const { text } of [...PAGE_LINES, ...SEARCH_LINES]) expect(en[text]).toBeTruthy();
  });

  it("mean one thing each", () => {
    const keys = ACTS.flatMap((act) => [...KEYS[act]] as string[]);
    expect(new Set(keys).size).toBe(keys.length);
    for (const act of ACTS) for (const key of KEYS[act]) if (!key.startsWith("Ctrl+")) expect(press(key)).toBe(act);
  });

  it("of the channel list are those that it hears", () => {
    const heard = SOURCES["../src/search/ChannelPicker.svelte"]!;
    const body = heard.slice(heard.indexOf("function key("), heard.indexOf("event.preventDefault()"));
    const named = [...body.matchAll(/\b(?:Arrow|Page)\w+(?=:)|(?<=event\.key === ")\w+/g)].map(([key]) => key);
    expect([...named].sort()).toEqual([...SEARCH_KEYS].sort());
  });

  it("are heard nowhere else without a line in the help", () => {
    const told = new Set<string>([...ACTS.flatMap((act) => [...KEYS[act]]), ...SEARCH_KEYS]);
    for (const [path, text] of Object.entries(SOURCES)) {
      for (const [, key] of text.matchAll(/event\.key [!=]== "([^"]+)"/g)) expect(told, path).toContain(key);
    }
  });

  it("undo and redo as everywhere, also with caps lock and on a Mac; other combinations are the browser's", () => {
    expect(press("z", { ctrlKey: true })).toBe("undo");
    expect(press("Z", { ctrlKey: true })).toBe("undo");
    expect(press("z", { metaKey: true })).toBe("undo");
    expect(press("Z", { ctrlKey: true, shiftKey: true })).toBe("redo");
    expect([press("l", { ctrlKey: true }), press("t", { metaKey: true }), press("d", { altKey: true }), press("x")]).toEqual([undefined, undefined, undefined, undefined]);
  });
});
