import { beforeEach, describe, expect, it, vi } from "vitest";
import type { ChannelInfo, VehicleInfo } from "../src/protocol/messages";
import { NOTHING_CHOSEN } from "../src/laps/lapView";
import { defaultCharts } from "../src/settings/defaults";
import { costOf, DEFAULT_VIEW, loadView, readAddress, storeView, writeAddress } from "../src/settings/view";

import { Preferences } from "../src/settings/preferences.svelte";

class Storage {
  private readonly items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }
}

const view = { rateHz: 50, windowS: 300 };

describe("address", () => {
  it.each([
    { section: "settings", workbook: "driver", sheet: "laps", range: { fromUs: 1_700_000_000_000_000, toUs: 1_700_000_010_000_000 }, laps: { session: "a&b", picked: [3, 12], reference: 7, part: { from: 0.25, to: 0.5 } }, isKiosk: true },
    { section: "live", workbook: null, sheet: null, range: null, laps: NOTHING_CHOSEN, isKiosk: false },
  ])("comes back as it was: $section", (address) => {
    const given = { vehicle: "fs & <b>", view, ...address };
    expect(readAddress(writeAddress(given))).toEqual(given);
  });

  it.each(["?rate=0&window=-1", "?rate=101&window=1e9", "?rate=&window=x", "?rate=NaN&window=Infinity"])("nonsense is ignored: %s", (query) => {
    expect(readAddress(query).view).toEqual({});
  });

  it.each(["?laps=x,-1,0,1e99,1.5&reference=-2&part=0.5-0.4", "?laps=&reference=&part=", "?laps=,&reference=1.5&part=-0.1-2", "?part=0.1"])("nonsense about laps is ignored: %s", (query) => {
    expect(readAddress(query).laps).toEqual(NOTHING_CHOSEN);
  });

  it("an unknown section is the live view; a time that ends before it begins is none", () => {
    expect(readAddress("?section=<x>&from=5&to=4")).toMatchObject({ section: "live", range: null });
  });
});

describe("view settings", () => {
  it("come back from storage, per vehicle; the address wins", () => {
    const storage = new Storage();
    storeView("fs", view, storage);
    expect(loadView("fs", {}, storage)).toEqual(view);
    expect(loadView("fs", { windowS: 10 }, storage)).toEqual({ rateHz: 50, windowS: 10 });
    expect(loadView("pe", {}, storage)).toEqual(DEFAULT_VIEW);
  });

  it.each(["{", "null", "[1]", '{"rateHz":"fast"}'])("broken storage is ignored: %s", (text) => {
    const storage = new Storage();
    storage.setItem("ved.view.fs", text);
    expect(loadView("fs", {}, storage)).toEqual(DEFAULT_VIEW);
  });

  it("the cost grows with channels and rate, and nothing costs nothing", () => {
    expect(costOf(0, 100)).toBe(0);
    expect(costOf(20, 100)).toBeGreaterThan(costOf(20, 50));
    expect(costOf(40, 50)).toBeGreaterThan(1.9 * costOf(20, 50) - 1000);
  });
});

function vehicle(channels: readonly [string, string][], charts: VehicleInfo["charts"] = []): VehicleInfo {
  const infos = channels.map(([name, unit]): ChannelInfo => {
    const [message, signal] = name.split(".") as [string, string];
    return { name, unit, kind: "continuous", message, signal, bus: 0, comment: "", choices: [], minimum: null, maximum: null };
  });
  return { name: "v", title_en: "", title_fr: "", channels: infos, map: null, charts };
}

describe("default charts", () => {
  it("are those of the vehicle, without channels that it lacks", () => {
    const charts = [
      { title_en: "a", title_fr: "b", channels: ["A.Speed", "A.Gone"] },
      { title_en: "c", title_fr: "d", channels: ["A.Gone"] },
    ];
    expect(defaultCharts(vehicle([["A.Speed", "km/h"]], charts))).toEqual([{ title_en: "a", title_fr: "b", channels: ["A.Speed"] }]);
  });

  it("are guessed by unit and name", () => {
    const charts = defaultCharts(vehicle([["G.Speed", "m/s"], ["G.Satellites", ""], ["T.MotorTemp", "degC"], ["I.AccelerationX", "m/s^2"], ["G.SpeedAccuracy", "m/s"]]));
    expect(charts.map((chart) => chart.channels)).toEqual([["G.Speed"], ["T.MotorTemp"], ["I.AccelerationX"]]);
  });

  it("are the first channels where nothing is known", () => {
    expect(defaultCharts(vehicle([["A.x", ""], ["A.y", ""]])).map((chart) => chart.channels)).toEqual([["A.x", "A.y"]]);
    expect(defaultCharts(vehicle([]))).toEqual([]);
  });
});

describe("preferences", () => {
  let kept: Storage;
  let server: Record<string, unknown>;
  let isUp: boolean;

  beforeEach(() => {
    kept = new Storage();
    server = {};
    isUp = true;
    vi.useFakeTimers();
    vi.stubGlobal("localStorage", kept);
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
      if (!isUp) return Promise.reject(new TypeError("away"));
      if (init.method === "PUT") server = JSON.parse(String(init.body));
      return Promise.resolve({ ok: true, status: init.method === "PUT" ? 204 : 200, json: () => Promise.resolve(structuredClone(server)) });
    });
    return () => {
      vi.unstubAllGlobals();
      vi.useRealTimers();
    };
  });

  async function device(user = "1"): Promise<Preferences> {
    const preferences = new Preferences();
    await preferences.load(user);
    return preferences;
  }

  it("are kept here and on the server; what is none is left out", async () => {
    const preferences = await device();
    preferences.toggleFavourite("fs", "A.b");
    preferences.set({ units: { speed: "mph" } });
    await vi.advanceTimersByTimeAsync(2000);
    expect(server).toEqual({ units: { speed: "mph" }, favourites: { fs: ["A.b"] }, workbooks: {} });
    isUp = false;
    expect((await device()).isFavourite("fs", "A.b")).toBe(true);
    isUp = true;
    server = { units: { speed: 3, angle: "rad" }, favourites: { fs: ["C.d"] } };
    expect((await device()).content).toEqual({ units: { angle: "rad" }, favourites: { fs: ["C.d"] }, workbooks: {} });
  });

  it("of two devices both stay, each value by itself", async () => {
    server = { units: { speed: "mph", angle: "rad" }, favourites: { fs: ["A.a"] }, workbooks: {} };
    const phone = await device();
    vi.stubGlobal("localStorage", new Storage());
    const laptop = await device();
    laptop.toggleFavourite("fs", "A.b");
    laptop.toggleFavourite("fs", "A.a");
    laptop.set({ units: { angle: "deg" } });
    await vi.advanceTimersByTimeAsync(2000);
    phone.set({ workbooks: { fs: "tv" } });
    phone.toggleFavourite("fs", "A.c");
    await vi.advanceTimersByTimeAsync(2000);
    const all = { units: { angle: "deg" }, favourites: { fs: ["A.b", "A.c"] }, workbooks: { fs: "tv" } };
    expect(server).toEqual(all);
    expect(phone.content).toEqual(all);
  });

  it("changed while the server is away reach it later, also after a reload", async () => {
    const preferences = await device();
    isUp = false;
    preferences.toggleFavourite("fs", "A.b");
    await vi.advanceTimersByTimeAsync(2000);
    isUp = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(server).toMatchObject({ favourites: { fs: ["A.b"] } });
    isUp = false;
    preferences.toggleFavourite("fs", "A.c");
    vi.clearAllTimers();
    isUp = true;
    server = { units: { speed: "mph" }, favourites: { fs: ["A.b"] }, workbooks: {} };
    const again = await device();
    expect(again.content).toEqual({ units: { speed: "mph" }, favourites: { fs: ["A.b", "A.c"] }, workbooks: {} });
    await vi.advanceTimersByTimeAsync(2000);
    expect(server).toEqual(again.content);
  });

  it("on one laptop are of each person alone, and come from no broken text", async () => {
    const one = await device("1");
    one.set({ units: { speed: "mph" } });
    server = {};
    expect((await device("2")).content.units).toEqual({});
    kept.setItem("ved.preferences.3", JSON.stringify({ content: 5, changes: { "[1]": "x", "no": true, '["units","speed","x"]': "y", '["units","angle"]': "rad" } }));
    expect((await device("3")).content.units).toEqual({ angle: "rad" });
  });
});
