import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PANELS, panelOf } from "../src/extend/panels";
import { verdictOf } from "../src/panels/Lamps/verdict";
import type { ChannelInfo, VehicleInfo } from "../src/protocol/messages";
import { channelsOf, freePlace, inOrder, overlaps, readWorkbook, type Workbook } from "../src/workbook/model";
import { isPreset, PRESETS, presetWorkbook } from "../src/workbook/presets";
import { Workbooks } from "../src/workbook/workbooks.svelte";
import { Kept, WorkbookServer } from "./workbookServer";

const info = (name: string, unit = "", more: Partial<ChannelInfo> = {}): ChannelInfo => {
  const [message, signal] = name.split(".") as [string, string];
  return { name, unit, kind: "continuous", message, signal, bus: 0, comment: "", choices: [], minimum: null, maximum: null, ...more };
};

const car: VehicleInfo = {
  name: "fs",
  title_en: "Car",
  title_fr: "Voiture",
  channels: [
    info("VehicleMotion.Speed", "km/h"), info("Safety.ShutdownChain"), info("Safety.BmsOk"), info("BatteryPack.Voltage", "V"),
    info("BatteryPack.Current", "A"), info("BatteryPack.StateOfCharge", "%"), info("ImuAcceleration.Longitudinal", "m/s²"),
    info("ImuAcceleration.Lateral", "m/s²"), info("GpsPosition.Latitude", "°"), info("GpsPosition.Longitude", "°"),
    ...Array.from({ length: 96 }, (_, i) => info(`CellVoltages.Cell${String(i + 1).padStart(2, "0")}`, "V")),
  ],
  map: { latitude: "GpsPosition.Latitude", longitude: "GpsPosition.Longitude", valid: null },
  charts: [{ title_en: "Speed", title_fr: "Vitesse", channels: ["VehicleMotion.Speed"] }],
};

describe("panels", () => {
  it("have kinds of their own, and make sense of any settings", () => {
    expect(new Set(PANELS.map((panel) => panel.kind)).size).toBe(PANELS.length);
    for (const panel of PANELS) {
      for (const junk of [{}, { channels: 3, channel: [], low: "x", bins: -1, axis: 5 }, { channels: [1, "A.b", "A.b"], channel: "A.b" }]) {
        const settings = panel.read(junk);
        expect(panel.read(settings)).toEqual(settings);
        expect(panel.channels(settings, car).every((name) => typeof name === "string")).toBe(true);
      }
    }
  });

  it("take a channel that is dropped on them", () => {
    const strip = panelOf("strip")!;
    const dropped = strip.drop!(strip.read({ channels: ["A.b"] }), "A.c");
    expect(dropped?.["channels"]).toEqual(["A.b", "A.c"]);
    const full = strip.read({ channels: Array.from({ length: 24 }, (_, i) => `A.${i}`) });
    expect(strip.drop!(full, "A.new")).toBeNull();
  });
});

describe("presets", () => {
  it.each(PRESETS.map((preset) => preset.id))("%s: known panels, none over another, only channels of the vehicle", (id) => {
    const known = new Set(car.channels.map((channel) => channel.name));
    const book = presetWorkbook(car, id);
    expect(readWorkbook(JSON.parse(JSON.stringify(book)))).toEqual(book);
    for (const sheet of book.sheets) {
      for (const [i, panel] of sheet.panels.entries()) {
        expect(panelOf(panel.kind), panel.kind).toBeDefined();
        for (const other of sheet.panels.slice(i + 1)) expect(overlaps(panel, other), `${sheet.id} ${panel.id} ${other.id}`).toBe(false);
      }
      expect(channelsOf(sheet, car).filter((name) => !known.has(name))).toEqual([]);
    }
  });

  it("fit a vehicle of which nothing is known", () => {
    const bare: VehicleInfo = { name: "x", title_en: "", title_fr: "", channels: [info("A.b")], map: null, charts: [] };
    expect(presetWorkbook(bare, "default").sheets[0]!.panels[0]!.settings).toMatchObject({ channels: ["A.b"] });
    expect(presetWorkbook({ ...bare, channels: [] }, "tv").sheets.length).toBeGreaterThan(0);
    expect(isPreset("0123")).toBe(false);
  });
});

describe("a workbook from a file", () => {
  it.each([null, [], {}, { version: 2, sheets: [] }, { version: 1, sheets: [] }, { version: 1, sheets: [{}] }, { version: 1, sheets: [{ panels: [{}] }] }])("is refused when it is none: %j", (value) => {
    expect(() => readWorkbook(value)).toThrow();
  });

  it("is brought inside the grid, with ids of its own", () => {
    const panel = { kind: "strip", id: "1", x: 90, y: -3, w: 50, h: 0.4, settings: [] };
    const book = readWorkbook({ version: 1, sheets: [{ panels: [panel, panel] }] });
    const [first, second] = book.sheets[0]!.panels;
    expect(first).toMatchObject({ x: 0, y: 0, w: 12, h: 1, settings: {} });
    expect(second!.id).not.toBe(first!.id);
  });

  it("a free place is found beside what is there", () => {
    const panels = [{ id: "1", kind: "strip", title_en: "", title_fr: "", x: 0, y: 0, w: 8, h: 4, settings: {} }];
    expect(freePlace(panels, 4, 4)).toEqual({ x: 8, y: 0, w: 4, h: 4 });
    expect(freePlace(panels, 6, 2)).toEqual({ x: 0, y: 4, w: 6, h: 2 });
  });
});

describe("workbooks", () => {
  let kept: Kept;
  let server: WorkbookServer;
  let books: Workbooks;

  beforeEach(() => {
    vi.useFakeTimers();
    kept = new Kept();
    server = new WorkbookServer();
    books = device(kept);
  });

  /** Of what is shown, what a test compares. */
  const shown = ({ id, saveState, current, isMine }: Workbooks): object => ({ id, saveState, current, isMine });

  /** The page as it starts, of one person. */
  function device(storage: Kept, user = "1"): Workbooks {
    const started = new Workbooks(storage, () => undefined);
    started.signIn(user);
    return started;
  }

  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("a changed preset is a draft that comes back, until it is thrown away", async () => {
    await books.open(car, "default");
    const before = books.sheet.panels.length;
    books.addPanel("gauge");
    expect(books.saveState).toBe("draft");
    await books.open(car, "driver");
    await books.open(car, "default");
    expect(books.sheet.panels.length).toBe(before + 1);
    await books.discardDraft();
    expect(books.sheet.panels.length).toBe(before);
    expect(books.saveState).toBe("saved");
  });

  it("saved under a name, each change reaches the server; another device has it", async () => {
    await books.open(car, "default");
    expect(await books.saveAs("Mine")).toBe(true);
    const { id } = books;
    expect(server.stored.get(id)).toMatchObject({ name: "Mine", is_shared: false });
    expect(books.saveState).toBe("saved");
    books.addPanel("lamps");
    expect(books.saveState).toBe("unsaved");
    await vi.advanceTimersByTimeAsync(2000);
    expect(books.saveState).toBe("saved");
    const other = device(new Kept());
    await other.open(car, id);
    expect(other.current).toEqual(books.current);
    expect(await books.share(true)).toBe(true);
    expect(await books.rename("Ours")).toBe(true);
    expect(server.stored.get(id)).toMatchObject({ name: "Ours", is_shared: true, content: books.current });
    expect(await books.remove()).toBe(true);
    expect(books.id).toBe("default");
    expect(kept.items.size).toBe(0);
  });

  it("of a person are not shown to the next one on the same laptop", async () => {
    await books.open(car, "default");
    books.addPanel("gauge");
    const next = device(kept, "2");
    await next.open(car, "default");
    expect(shown(next)).toMatchObject({ saveState: "saved", current: presetWorkbook(car, "default") });
    const again = device(kept, "1");
    await again.open(car, "default");
    expect(shown(again)).toMatchObject({ saveState: "draft", current: books.current });
  });

  async function saved(content: Workbook = presetWorkbook(car, "default")): Promise<void> {
    server.put("abc", content);
    await books.open(car, "abc");
  }

  it("a change that another workbook follows at once reaches its own", async () => {
    await saved();
    books.addPanel("lamps");
    const changed = books.current;
    await books.open(car, "tv");
    await vi.advanceTimersByTimeAsync(0);
    expect(server.stored.get("abc")!.content).toEqual(changed);
    expect(shown(books)).toMatchObject({ id: "tv", current: presetWorkbook(car, "tv") });
    await books.open(car, "abc");
    expect(shown(books)).toMatchObject({ saveState: "saved", current: changed });
  });

  it("a change is sent by a page that is closed", async () => {
    await saved();
    books.addPanel("lamps");
    books.leave();
    expect(server.stored.get("abc")!.content).toEqual(books.current);
    const again = device(kept);
    await again.open(car, "abc");
    expect(shown(again)).toMatchObject({ saveState: "saved", current: books.current });
    expect(kept.items.size).toBe(0);
  });

  it("a change too large for a closing page waits on this device", async () => {
    await saved();
    books.addPanel("strip", { channels: ["x".repeat(70_000)] });
    books.leave();
    expect(server.stored.get("abc")!.content).not.toEqual(books.current);
    device(kept);
    await vi.advanceTimersByTimeAsync(0);
    expect(server.stored.get("abc")!.content).toEqual(books.current);
  });

  it.each(["away", "unanswered"] as const)("a change that fails (%s) is sent again by itself, and after a reload", async (fault) => {
    await saved();
    server.fault = fault;
    books.addPanel("lamps");
    await vi.advanceTimersByTimeAsync(2000);
    expect(books.saveState).toBe("failed");
    server.fault = "none";
    await vi.advanceTimersByTimeAsync(6000);
    expect(books.saveState).toBe("saved");
    expect(server.stored.get("abc")!.content).toEqual(books.current);
    server.fault = fault;
    books.addPanel("gauge");
    await vi.advanceTimersByTimeAsync(2000);
    vi.clearAllTimers();
    server.fault = "none";
    const again = device(kept);
    await again.open(car, "abc");
    expect(shown(again)).toMatchObject({ saveState: "saved", current: books.current });
    expect(server.stored.get("abc")!.content).toEqual(books.current);
  });

  it("is known as one's own before the list is there, and without it", async () => {
    server.put("abc", presetWorkbook(car, "tv"));
    const all = globalThis.fetch;
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => (path.includes("?vehicle=") ? Promise.reject(new TypeError("away")) : all(path, init)));
    await books.open(car, "abc");
    expect(books.lines.map((line) => line.id)).toEqual(["abc"]);
    books.addPanel("lamps");
    await vi.advanceTimersByTimeAsync(2000);
    expect(server.stored.get("abc")!.content).toEqual(books.current);
    expect(kept.items.size).toBe(0);
  });

  it("never goes over what another device made meanwhile; the person says which one stays", async () => {
    await saved();
    server.put("abc", presetWorkbook(car, "tv"));
    books.addPanel("lamps");
    const mine = books.current;
    await vi.advanceTimersByTimeAsync(2000);
    expect(shown(books)).toMatchObject({ saveState: "conflict", current: mine });
    expect(server.stored.get("abc")!.content).toEqual(presetWorkbook(car, "tv"));
    const again = device(kept);
    await again.open(car, "abc");
    expect(shown(again)).toMatchObject({ saveState: "conflict", current: mine });
    again.addPanel("gauge");
    await vi.advanceTimersByTimeAsync(9000);
    expect(again.saveState).toBe("conflict");
    expect(await again.keepMine()).toBe(true);
    expect(server.stored.get("abc")!.content).toEqual(again.current);
    expect(again.saveState).toBe("saved");
    server.put("abc", presetWorkbook(car, "driver"));
    again.addPanel("lamps");
    await vi.advanceTimersByTimeAsync(2000);
    await again.takeTheirs();
    expect(shown(again)).toMatchObject({ saveState: "saved", current: presetWorkbook(car, "driver") });
    expect(kept.items.size).toBe(0);
  });

  it("that was deleted elsewhere stays on this device until it is saved anew", async () => {
    await saved();
    server.stored.delete("abc");
    books.addPanel("lamps");
    await vi.advanceTimersByTimeAsync(2000);
    expect(shown(books)).toMatchObject({ saveState: "draft", isMine: false });
    const again = device(kept);
    await again.open(car, "abc");
    expect(shown(again)).toMatchObject({ saveState: "draft", current: books.current });
    expect(await again.saveAs("Anew", true)).toBe(true);
    expect(server.stored.get(again.id)).toMatchObject({ name: "Anew", is_shared: true, content: books.current });
    expect(kept.items.size).toBe(0);
  });

  it("of somebody else, changed and saved as one's own, is what its link shows", async () => {
    server.put("abc", presetWorkbook(car, "tv"), false);
    await books.open(car, "abc");
    books.addPanel("lamps");
    expect(books.saveState).toBe("draft");
    await books.saveAs("Mine", true);
    const other = device(new Kept(), "2");
    await other.open(car, books.id);
    expect(other.current).toEqual(books.current);
    expect(server.stored.get("abc")!.content).toEqual(presetWorkbook(car, "tv"));
  });

  it("opened one after the other, the last one asked for is shown", async () => {
    server.put("abc", presetWorkbook(car, "tv"));
    const slow = books.open(car, "abc");
    await books.open(car, "driver");
    await slow;
    expect(books.id).toBe("driver");
  });

  it("an unknown workbook opens the default one, and says so", async () => {
    await books.open(car, "feed");
    expect([books.id, books.isMissing]).toEqual(["default", true]);
    await books.open(car, "default");
    expect(books.isMissing).toBe(false);
  });

  it("while the server is away what is shown stays, and the one that was chosen comes by itself", async () => {
    server.put("abc", presetWorkbook(car, "tv"));
    await books.open(car, "driver");
    server.fault = "away";
    await books.open(car, "abc");
    expect([books.id, books.awaited]).toEqual(["driver", "abc"]);
    await vi.advanceTimersByTimeAsync(2500);
    expect([books.id, books.awaited]).toEqual(["driver", "abc"]);
    server.fault = "none";
    await vi.advanceTimersByTimeAsync(2500);
    expect([books.id, books.awaited]).toEqual(["abc", null]);
  });

  it("another choice, or a change, ends the wait", async () => {
    server.put("abc", presetWorkbook(car, "tv"));
    server.fault = "away";
    await books.open(car, "abc");
    expect([books.id, books.awaited]).toEqual(["default", "abc"]);
    await books.open(car, "driver");
    server.fault = "none";
    await vi.advanceTimersByTimeAsync(5000);
    expect([books.id, books.awaited]).toEqual(["driver", null]);
    server.fault = "away";
    await books.open(car, "abc");
    books.addPanel("gauge");
    server.fault = "none";
    await vi.advanceTimersByTimeAsync(5000);
    expect([books.id, books.saveState]).toEqual(["driver", "draft"]);
  });

  it("undo and redo take changes back and again", async () => {
    await books.open(car, "default");
    const before = books.current;
    const id = books.addPanel("gauge")!;
    books.changePanel(id, { settings: { channel: "VehicleMotion.Speed" } });
    books.arrange(new Map([[id, { x: 0, y: 60, w: 3, h: 3 }]]));
    const after = books.current;
    for (let i = 0; i < 3; i++) books.undo();
    expect(books.current).toEqual(before);
    expect(books.canUndo).toBe(false);
    for (let i = 0; i < 3; i++) books.redo();
    expect(books.current).toEqual(after);
    books.arrange(new Map([[id, { x: 0, y: 60, w: 3, h: 3 }]]));
    books.undo();
    expect(books.sheet.panels.at(-1)!.y).not.toBe(60);
  });

  it("a panel changes places with its neighbour in reading order, and not beyond the ends", async () => {
    await books.open(car, "default");
    const before = inOrder(books.sheet.panels);
    const [first, second] = before;
    books.movePanel(first!.id, -1);
    books.movePanel(before.at(-1)!.id, 1);
    expect(books.canUndo).toBe(false);
    books.movePanel(first!.id, 1);
    const after = inOrder(books.sheet.panels);
    expect(after.map((panel) => panel.id)).toEqual([second!.id, first!.id, ...before.slice(2).map((panel) => panel.id)]);
    expect(after[0]).toMatchObject({ x: first!.x, y: first!.y, w: first!.w, h: first!.h });
    books.movePanel(first!.id, -1);
    expect(inOrder(books.sheet.panels)).toEqual(before);
  });

  it("a file is taken over as a change, and what is none is refused", async () => {
    await books.open(car, "default");
    const text = JSON.stringify({ vehicle: "fs", name: "x", content: presetWorkbook(car, "tv") });
    expect(books.importText(text)).toBeNull();
    expect(books.current).toEqual(presetWorkbook(car, "tv"));
    expect(books.importText(text.replace('"fs"', '"pe"'))).toBe("pe");
    books.undo();
    expect(() => books.importText("{")).toThrow(SyntaxError);
    expect(() => books.importText(JSON.stringify({ version: 1, sheets: [], more: "x".repeat(256 * 1024) }))).toThrow(RangeError);
    expect(books.current).toEqual(presetWorkbook(car, "tv"));
    books.undo();
    expect(books.current).toEqual(presetWorkbook(car, "default"));
  });
});

describe("a lamp", () => {
  it.each([
    ["ShutdownChain", 0, "Closed", "good"],
    ["ShutdownChain", 7, "IMD open", "bad"],
    ["AirPositive", 0, "Open", "off"],
    ["AirPositive", 2, "Welded", "bad"],
    ["ImdState", 1, "Normal", "good"],
    ["ImdState", 5, "Ground fault", "bad"],
    ["BmsOk", 1, "Yes", "good"],
    ["BmsOk", 0, "No", "bad"],
    ["Derating", 1, "Yes", "bad"],
    ["Derating", 0, "No", "off"],
    ["State", 4, "Derating", "warn"],
    ["State", 3, "Running", "good"],
    ["State", 0, "Off", "off"],
    ["Whatever", NaN, null, "off"],
    ["State", 3, "Recovering", "good"],
    ["State", 2, "Discharging", "good"],
    ["State", 2, "Over-temperature", "bad"],
    ["ImdState", 2, "Undervoltage", "bad"],
    ["Phase", 0, "Stopped", "off"],
    ["Phase", 3, "Stop", "off"],
    ["Button", 1, "E-Stop", "bad"],
    ["State", 3, "Not OK", "bad"],
    ["State", 1, "Not ready", "warn"],
    ["State", 2, "Disabled", "off"],
    ["State", 2, "Disconnected", "off"],
    ["State", 9, "Whatever it is", "off"],
    ["State", 4, "Tripped", "bad"],
  ] as const)("%s = %d (%s) is %s", (signal, value, text, verdict) => {
    expect(verdictOf(info(`Safety.${signal}`), value, text)).toBe(verdict);
  });
});
