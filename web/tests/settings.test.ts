import { describe, expect, it } from "vitest";
import type { ChannelInfo, VehicleInfo } from "../src/protocol/messages";
import { defaultCharts } from "../src/settings/defaults";
import { DEFAULT_VIEW, loadView, storeView, viewQuery, type View } from "../src/settings/view";

class Storage {
  private readonly items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }
}

const view: View = {
  rateHz: 50,
  windowS: 300,
  charts: [
    { title_en: "Speed, all | of it", title_fr: "Vitesse", channels: ["A.b", "bus, 1.C\\d.e|f"] },
    { title_en: "", title_fr: "", channels: [] },
  ],
  hasMap: false,
};

describe("view settings", () => {
  it("come back from the address", () => {
    expect(loadView("fs", viewQuery("fs", view), new Storage())).toEqual(view);
  });

  it("come back from storage, per vehicle", () => {
    const storage = new Storage();
    storeView("fs", view, storage);
    expect(loadView("fs", "", storage)).toEqual(view);
    expect(loadView("pe", "", storage)).toEqual(DEFAULT_VIEW);
  });

  it("the address of another vehicle does not count", () => {
    expect(loadView("pe", viewQuery("fs", view), new Storage())).toEqual(DEFAULT_VIEW);
  });

  it.each(["?rate=0&window=-1", "?rate=101&window=1e9", "?rate=&window=x", "?rate=NaN&window=Infinity"])("nonsense is ignored: %s", (query) => {
    expect(loadView("fs", query, new Storage())).toEqual(DEFAULT_VIEW);
  });

  it.each(["{", "null", "[1]", '{"charts":[{"channels":[1]}],"rateHz":"fast"}'])("broken storage is ignored: %s", (text) => {
    const storage = new Storage();
    storage.setItem("ved.view.fs", text);
    expect(loadView("fs", "", storage)).toEqual(DEFAULT_VIEW);
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
