import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { byUrgency, isAlarm, isLoud, listed, markerOf, MAX_KEPT, merged, worstOf, type Alarm } from "../src/alarms/alarm";
import { draftOf, idOf, readNumber, ruleOf, type Rule } from "../src/alarms/rule";
import { ruleText } from "../src/alarms/ruleText";
import { valueText } from "../src/alarms/text";

const ALARM: Alarm = {
  id: "a",
  vehicle: "fs",
  rule: "hot",
  severity: "critical",
  title_en: "Hot",
  title_fr: "Chaud",
  channel: "Cell.Temperature",
  unit: "°C",
  is_active: true,
  is_open: true,
  is_late: false,
  is_latched: false,
  utc_raised_us: 1000,
  utc_cleared_us: null,
  utc_acked_us: null,
  acked_by: "",
  shelved_until_utc_us: null,
  value: 61,
  worst: 63.5,
  detail: "",
};
const with_ = (more: Partial<Alarm>): Alarm => ({ ...ALARM, ...more });

describe("alarms", () => {
  it("are loud while critical, open, live, and neither acknowledged nor shelved", () => {
    expect(isLoud(ALARM, 5)).toBe(true);
    expect(isLoud(with_({ shelved_until_utc_us: 10 }), 11)).toBe(true);
    for (const quiet of [{ severity: "warning" }, { is_open: false }, { is_late: true }, { utc_acked_us: 7 }, { shelved_until_utc_us: 10 }] as const) {
      expect(isLoud(with_(quiet), 5)).toBe(false);
    }
  });

  it("stand with the worst first, then the newest", () => {
    const list = [with_({ id: "w", severity: "warning", utc_raised_us: 9 }), with_({ id: "old", utc_raised_us: 1 }), with_({ id: "new", utc_raised_us: 2 })];
    expect(list.sort(byUrgency).map((one) => one.id)).toEqual(["new", "old", "w"]);
    expect(worstOf(list)).toBe("critical");
    expect(worstOf([])).toBeNull();
  });

  it("replace what was known of them; the oldest that are over go when there are too many", () => {
    const many = Array.from({ length: MAX_KEPT }, (_, at) => with_({ id: `o${at}`, is_open: false, utc_raised_us: at }));
    const known = merged(new Map(), [...many, with_({ id: "open", utc_raised_us: -1 })]);
    expect(known.size).toBe(MAX_KEPT);
    expect(known.has("o0")).toBe(false);
    expect(known.has("open")).toBe(true);
    expect(merged(known, [with_({ id: "open", is_open: false })]).get("open")!.is_open).toBe(false);
  });

  it("are listed open ones first, the worst on top, and those that are over when they are asked for", () => {
    const over = with_({ id: "over", is_open: false, utc_raised_us: 99 });
    const older = with_({ id: "older", is_open: false, utc_raised_us: 98 });
    const all = [older, with_({ id: "warning", severity: "warning", utc_raised_us: 50 }), over, with_({ id: "critical", utc_raised_us: 3 })];
    expect(listed(all, false).map((one) => one.id)).toEqual(["critical", "warning"]);
    expect(listed(all, true).map((one) => one.id)).toEqual(["critical", "warning", "over", "older"]);
  });

  it("come from the server alone, and mark the time axis", () => {
    expect(isAlarm(ALARM)).toBe(true);
    for (const other of [null, 3, {}, { ...ALARM, severity: "odd" }]) expect(isAlarm(other)).toBe(false);
    const marker = markerOf(with_({ utc_cleared_us: 2000 }), "Hot", () => undefined);
    expect([marker.kind, marker.fromUs, marker.toUs, marker.severity]).toEqual(["alarm", 1000, 2000, "critical"]);
    expect(markerOf(with_({ severity: "warning", utc_cleared_us: 2000 }), "Hot", () => undefined).toUs).toBe(1000);
  });

  it("tell their value, the worst beside it, or what the server says", () => {
    expect(valueText(ALARM)).toBe("Cell.Temperature: 61 °C (worst 63.5 °C)");
    expect(valueText(with_({ value: null }))).toBe("Cell.Temperature");
    expect(valueText(with_({ detail: "batch 601" }))).toBe("batch 601");
  });
});

describe("rules", () => {
  const RULE: Rule = {
    id: "hot",
    kind: "above",
    title_en: "Hot",
    title_fr: "Chaud",
    severity: "critical",
    channel: "Cell.Temperature",
    limit: 60,
    hysteresis: 2,
    guard: { channel: "Motion.Speed", above: 20 },
    on_delay_ms: 200,
    off_delay_ms: 500,
    latch: true,
    source: "data sheet",
  };

  it("come out of the form as they went in", () => {
    expect(ruleOf(draftOf(RULE))).toEqual(RULE);
    const state: Rule = { id: "s", kind: "equals", title_en: "s", title_fr: "s", severity: "info", channel: "A.b", values: [1, 2.5], on_delay_ms: 0, off_delay_ms: 500, is_enabled: false };
    expect(ruleOf(draftOf(state))).toEqual(state);
  });

  it("leave out what another kind had, and keep what is no number for the server to refuse", () => {
    const draft = draftOf(RULE);
    draft.kind = "no_data";
    draft.numbers["for_ms"] = "2000";
    draft.guardChannel = "";
    expect(ruleOf(draft)).toMatchObject({ kind: "no_data", for_ms: 2000 });
    expect(ruleOf(draft)).not.toHaveProperty("limit");
    draft.numbers["for_ms"] = "two";
    expect(ruleOf(draft)).toMatchObject({ for_ms: "two" });
  });

  it("read numbers and names as people write them", () => {
    expect(readNumber(" 3,5 ")).toBe(3.5);
    expect(readNumber("\u22122")).toBe(-2);
    expect(readNumber("")).toBeNaN();
    expect(idOf("12 V : tension basse !")).toBe("v-tension-basse");
    expect(idOf("Température élevée")).toBe("temperature-elevee");
    const draft = draftOf(null);
    draft.title_fr = "Moteur chaud";
    expect(ruleOf(draft)).toMatchObject({ id: "moteur-chaud", title_en: "Moteur chaud", title_fr: "Moteur chaud" });
    draft.kind = "equals";
    draft.values = "1, 2;3 4";
    expect(ruleOf(draft)).toMatchObject({ values: [1, 2, 3, 4] });
  });

  it("are told in one line", () => {
    expect(ruleText(RULE)).toBe("Cell.Temperature > 60 · only while Motion.Speed > 20 · after 0.2 s · until acknowledged");
    expect(ruleText({ id: "n", kind: "no_data", title_en: "", title_fr: "", for_ms: 2000 })).toBe("the car: silent for 2 s");
  });
});

describe("the store of alarms", () => {
  beforeEach(() => vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined }));
  afterEach(() => vi.unstubAllGlobals());

  const answering = (found: readonly Alarm[]) => vi.fn(() => Promise.resolve(new Response(JSON.stringify(found), { headers: { "Content-Type": "application/json" } })));

  it("shows rows of history as they became since, and knows when it has not been told yet", async () => {
    const { Alarms } = await import("../src/alarms/store.svelte");
    const store = new Alarms();
    expect(store.isLoaded).toBe(false);
    vi.stubGlobal("fetch", answering([ALARM]));
    await store.load("fs");
    expect([store.isLoaded, store.open.length]).toEqual([true, 1]);
    const rows = [with_({ id: "old", is_open: false }), ALARM];
    store.hear(with_({ is_open: false, utc_acked_us: 77, acked_by: "Engineer" }));
    expect(store.renewed(rows).map((one) => one.acked_by)).toEqual(["", "Engineer"]);
  });

  it("does not take over what was asked for the vehicle before", async () => {
    const { Alarms } = await import("../src/alarms/store.svelte");
    const store = new Alarms();
    vi.stubGlobal("fetch", answering([ALARM]));
    const loading = store.load("fs");
    store.clear();
    await loading;
    expect([store.isLoaded, store.newest.length]).toEqual([false, 0]);
  });
});
