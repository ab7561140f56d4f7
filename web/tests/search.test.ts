import { describe, expect, it } from "vitest";
import { panelOf } from "../src/extend/panels";
import type { ChannelInfo } from "../src/protocol/messages";
import { ChannelSearch, fold } from "../src/search/fuzzy";
import { shownIn, toggled } from "../src/search/picked";

function channel(name: string, unit = "", comment = ""): ChannelInfo {
  const [message, signal] = name.split(".") as [string, string];
  return { name, unit, kind: "continuous", message, signal, bus: 0, comment, choices: [], minimum: null, maximum: null };
}

const search = new ChannelSearch([
  channel("VCU_Status.VehicleSpeed", "km/h", "Speed of the car"),
  channel("Inverter.MotorSpeed", "rpm"),
  channel("Inverter.MotorTemp", "°C", "Température du bobinage"),
  channel("BMS.PackVoltage", "V"),
  channel("BMS.Cell012_Voltage", "V", "Cell 12"),
]);
const names = (query: string): string[] => search.find(query).map((match) => match.channel.name);

describe("channel search", () => {
  it("gives all channels in their order without a query", () => expect(names("").length).toBe(5));
  it("finds by part of the name", () => expect(names("motorsp")).toEqual(["Inverter.MotorSpeed"]));
  it("finds by message", () => expect(names("bms")).toEqual(["BMS.PackVoltage", "BMS.Cell012_Voltage"]));
  it("finds by unit, before letters elsewhere", () => expect(names("rpm")[0]).toBe("Inverter.MotorSpeed"));
  it("finds by comment, without accents or case", () => expect(names("TEMPERATURE BOBINAGE")).toEqual(["Inverter.MotorTemp"]));
  it("needs every word", () => expect(names("bms speed")).toEqual([]));
  it("finds initials", () => expect(names("pv")[0]).toBe("BMS.PackVoltage"));
  it("prefers the start of a word", () => expect(names("speed")[0]).toBe("Inverter.MotorSpeed"));
  it("finds nothing for nonsense", () => expect(names("zzz")).toEqual([]));
  it("marks the letters that matched", () => expect(search.find("motorsp")[0]!.positions).toEqual([9, 10, 11, 12, 13, 14, 15]));

  it("finds by title, former name, unit in French and value text", () => {
    const named = new ChannelSearch([
      { ...channel("Inverter.MotorSpeed", "rpm"), title_en: "Motor speed", title_fr: "Régime moteur", unit_en: "rpm", unit_fr: "tr/min", former: ["Inv.Old_Rpm2"] },
      { ...channel("BMS.State"), choices: [[2, "Précharge"]] },
    ]);
    const found = (query: string): string[] => named.find(query).map((match) => match.channel.name);
    for (const query of ["regime moteur", "tr/min", "old_rpm2"]) expect(found(query)).toEqual(["Inverter.MotorSpeed"]);
    expect(found("precharge")).toEqual(["BMS.State"]);
  });

  it("keeps positions through folding", () => {
    expect(fold("Été ﬁ İ")).toHaveLength("Été ﬁ İ".length);
    expect(fold("ÉTÉ")).toBe("ete");
  });

  it("searches 500 channels with hostile names", () => {
    const many = new ChannelSearch(
      Array.from({ length: 500 }, (_, i) => ({ ...channel(`M.S${i}`), name: `M.${"<b>".repeat(100)}${i}`, comment: ".*+?^${}()|[]\\" })),
    );
    expect(many.find("<b>499").length).toBe(1);
    expect(many.find("<b> 499").length).toBe(1);
    expect(many.find("[]\\").length).toBe(500);
  });
});

describe("a panel in the picker", () => {
  it("of laps shows and gives back its channels, though they are not watched", () => {
    const overlay = panelOf("overlay")!;
    const one = toggled(overlay, overlay.read({}), "A.b")!;
    expect([...shownIn(overlay, one)]).toEqual(["A.b"]);
    expect(toggled(overlay, one, "A.b")).toMatchObject({ channels: [] });
  });

  it("that shows one channel stays as it is when that one is chosen again, and a full one says so", () => {
    const gauge = panelOf("gauge")!;
    const one = toggled(gauge, gauge.read({}), "A.b")!;
    expect([...shownIn(gauge, one)]).toEqual(["A.b"]);
    expect(toggled(gauge, one, "A.b")).toBe(one);
    const overlay = panelOf("overlay")!;
    expect(toggled(overlay, overlay.read({ channels: "abcdefgh".split("") }), "A.b")).toBeNull();
  });
});
