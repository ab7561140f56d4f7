import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SHOWN_MS, Toasts } from "../src/layout/toasts.svelte";
import { offerOf, sessionOf } from "../src/live/download";
import { nearestMark } from "../src/live/nearest";

describe("a file of what is in view", () => {
  it("has the channels that the session has, also under a former name; the others are told", () => {
    const nameOf = (channel: string): string => (channel === "Old.Speed" ? "New.Speed" : channel);
    expect(offerOf(["A.a", "Old.Speed", "Maths.gone"], ["A.a", "New.Speed", "B.b"], nameOf)).toEqual({ present: ["A.a", "Old.Speed"], missing: ["Maths.gone"] });
    expect(offerOf(["A.a"], [], nameOf)).toEqual({ present: [], missing: ["A.a"] });
  });

  it("is of the session that holds most of it", () => {
    const sessions = [{ id: "a", utc_from_us: 0, utc_to_us: 10 }, { id: "b", utc_from_us: 10, utc_to_us: 100 }];
    expect(sessionOf(sessions, 8, 20)?.id).toBe("b");
    expect(sessionOf(sessions, 2, 11)?.id).toBe("a");
    expect(sessionOf(sessions, 100, 200)).toBeUndefined();
    expect(sessionOf([], 0, 1)).toBeUndefined();
  });
});

describe("marks on the time line", () => {
  it("are met by a finger beside them, the nearest one, and none that is far", () => {
    const marks = [{ id: "lap", fromUs: 100 }, { id: "alarm", fromUs: 110 }];
    expect(nearestMark(marks, 104, 20)?.id).toBe("lap");
    expect(nearestMark(marks, 106, 20)?.id).toBe("alarm");
    expect(nearestMark(marks, 131, 20)).toBeNull();
  });
});

describe("the message at the bottom", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("takes back what it tells of, once", () => {
    const toasts = new Toasts();
    const act = vi.fn();
    toasts.show({ text: "Removed", action: { text: "Undo", act, isValid: () => true } });
    toasts.act();
    toasts.act();
    expect([act.mock.calls.length, toasts.shown]).toEqual([1, null]);
  });

  it("takes nothing else back, and goes by itself; a newer one has its whole time", () => {
    const toasts = new Toasts();
    const act = vi.fn();
    toasts.show({ text: "Removed", action: { text: "Undo", act, isValid: () => false } });
    toasts.act();
    expect(act).not.toHaveBeenCalled();
    toasts.show({ text: "one" });
    vi.advanceTimersByTime(SHOWN_MS - 1);
    toasts.show({ text: "two" });
    vi.advanceTimersByTime(SHOWN_MS - 1);
    expect(toasts.shown?.text).toBe("two");
    vi.advanceTimersByTime(1);
    expect(toasts.shown).toBeNull();
  });

  it("of a change of the workbook is of that change alone", () => {
    const toasts = new Toasts();
    const books = { current: {}, undo: vi.fn() };
    toasts.undoable("Removed", "Undo", books);
    books.current = {};
    toasts.act();
    expect(books.undo).not.toHaveBeenCalled();
    toasts.undoable("Removed", "Undo", books);
    toasts.act();
    expect(books.undo).toHaveBeenCalledOnce();
  });
});
