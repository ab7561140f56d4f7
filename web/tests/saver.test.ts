import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Workbook } from "../src/workbook/model";
import { Saver } from "../src/workbook/saver";
import { Kept, WorkbookServer } from "./workbookServer";

const IDS = ["a", "b"] as const;
const ROUNDS = 100;
const STEPS = 30;

/** Numbers that look random and are the same each time (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const bookOf = (mark: string): Workbook => ({ version: 1, sheets: [{ id: "1", title_en: mark, title_fr: "", panels: [] }] });
const markOf = (content: unknown): string => (content as Workbook).sheets[0]!.title_en;

/** A device, the server, another device, and what must come of it. */
class World {
  readonly server = new WorkbookServer();
  readonly kept = new Kept();
  saver = this.start();
  /** What was made on this device last; undefined: nothing since the server's copy was read. */
  readonly mine = new Map<string, string>();
  /** The other device's copy that this one has not seen. */
  readonly unseen = new Map<string, string>();
  private marks = 0;

  constructor() {
    for (const id of IDS) this.server.put(id, bookOf("first"));
    for (const id of IDS) this.see(id);
  }

  private start(): Saver {
    return new Saver(this.kept, () => undefined);
  }

  private see(id: string): void {
    this.saver.know(id, this.server.stored.get(id)!.changed_utc_us);
    this.unseen.delete(id);
  }

  change(id: string): void {
    const mark = `here ${++this.marks}`;
    this.mine.set(id, mark);
    this.saver.change(id, { vehicle: "fs", name: "n", is_shared: false, content: bookOf(mark) });
  }

  elsewhere(id: string): void {
    const mark = `elsewhere ${++this.marks}`;
    this.server.put(id, bookOf(mark));
    this.unseen.set(id, mark);
  }

  async reload(): Promise<void> {
    await vi.advanceTimersByTimeAsync(0); // What is on its way arrives, or is lost by a fault.
    this.saver.leave();
    vi.clearAllTimers();
    this.saver = this.start();
    this.saver.resume("1");
    // A workbook without a change of this device is read anew when it is opened.
    for (const id of IDS) if (this.saver.unsaved(id) === undefined) this.see(id);
  }

  /** All is well, and time passes. */
  async settle(): Promise<void> {
    this.server.fault = "none";
    await vi.advanceTimersByTimeAsync(20_000);
    for (const id of IDS) await this.saver.flush(id);
  }
}

describe("changes of one's own workbooks", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  async function live(seed: number, hasOther: boolean): Promise<World> {
    const pick = random(seed);
    const world = new World();
    world.saver.resume("1");
    for (let step = 0; step < STEPS; step++) {
      const id = IDS[pick(IDS.length)]!;
      const action = pick(hasOther ? 7 : 6);
      if (action <= 1) world.change(id);
      else if (action === 2) world.server.fault = (["none", "away", "unanswered"] as const)[pick(3)]!;
      else if (action === 3) await vi.advanceTimersByTimeAsync(pick(7000));
      else if (action === 4) void world.saver.flush(id);
      else if (action === 5 && pick(3) === 0) await world.reload();
      else if (action === 6) world.elsewhere(id);
    }
    await world.settle();
    return world;
  }

  it("are sent later, not again and again, where the server refuses without another copy", async () => {
    const world = new World();
    world.saver.resume("1");
    let sent = 0;
    const all = globalThis.fetch;
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
      if (init.method !== "PUT") return all(path, init);
      if (++sent > 50) throw new Error("without end");
      return Promise.resolve({ ok: false, status: 409, statusText: "", json: () => Promise.resolve({ error: { code: "workbook_changed", message: "" } }) });
    });
    world.change("a");
    await vi.advanceTimersByTimeAsync(12_000);
    expect([world.saver.progress("a"), sent]).toEqual(["failed", 3]);
  });

  it("of one device all reach the server, whatever the line, the person and the browser do", async () => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      const world = await live(seed, false);
      for (const id of IDS) {
        const expected = world.mine.get(id) ?? "first";
        expect(`${seed} ${world.saver.progress(id)} ${markOf(world.server.stored.get(id)!.content)}`).toBe(`${seed} saved ${expected}`);
      }
      expect([...world.kept.items.keys()], `seed ${seed}`).toEqual([]);
    }
  });

  it("of two devices none is lost without a word: it is on the server, or a conflict holds it", async () => {
    let conflicts = 0;
    for (let seed = 1; seed <= ROUNDS; seed++) {
      const world = await live(1000 + seed, true);
      for (const id of IDS) {
        const there = markOf(world.server.stored.get(id)!.content);
        const unseen = world.unseen.get(id);
        const unsaved = world.saver.unsaved(id);
        if (unseen !== undefined) expect(there, `seed ${seed}: an unseen copy was written over`).toBe(unseen);
        if (unsaved === undefined) continue;
        conflicts++;
        expect(world.saver.progress(id), `seed ${seed}`).toBe("conflict");
        expect(markOf(unsaved.content), `seed ${seed}`).toBe(world.mine.get(id));
        expect(JSON.parse(world.kept.items.get("ved.unsaved.1")!)[id].content, `seed ${seed}`).toEqual(unsaved.content);
      }
    }
    expect(conflicts).toBeGreaterThan(ROUNDS / 10);
  });
});
