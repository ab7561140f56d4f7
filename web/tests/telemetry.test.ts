import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { showTime } from "../src/alarms/actions";
import { Telemetry } from "../src/app/telemetry.svelte";
import { Engine } from "../src/engine/engine";
import type { FromEngine } from "../src/engine/messages";
import { panelOf } from "../src/extend/panels";
import { en } from "../src/i18n/en";
import type { ChannelInfo, VehicleInfo } from "../src/protocol/messages";

// Features come with the page, and some look at once at what they stored.
vi.hoisted(() => Object.assign(globalThis, { localStorage: { getItem: () => null, setItem: () => undefined } }));

class FakeSocket {
  static last: FakeSocket;
  readyState = 0;
  binaryType = "";
  readonly sent: { type: string; id: number; channels?: string[]; rate_hz?: number; window_s?: number; until_utc_us?: number }[] = [];
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  onclose: (() => void) | null = null;
  constructor() {
    FakeSocket.last = this;
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {}
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  /** The empty end of a history. */
  end(id = last(watches()).id): void {
    const data = new ArrayBuffer(32);
    const view = new DataView(data);
    view.setUint8(0, 1);
    view.setUint8(1, 1);
    view.setUint16(2, id, true);
    view.setUint16(6, 1, true);
    view.setUint32(16, 1, true);
    this.onmessage?.({ data });
    vi.advanceTimersByTime(50);
  }
  open(): void {
    this.readyState = 1;
    this.say({ type: "welcome", version: 1, user: { name: "", role: "viewer" }, server_utc_us: 0 });
  }
}

function channel(name: string): ChannelInfo {
  const [message, signal] = name.split(".") as [string, string];
  return { name, unit: "V", kind: "continuous", message, signal, bus: 0, comment: "", choices: [], minimum: null, maximum: null };
}

let vehicle: VehicleInfo;
let isSignedIn: boolean;
let items: Map<string, string>;
let place: { protocol: string; host: string; search: string };

function respond(path: string): object {
  if (/^\/api\/vehicles\/\w+\//.test(path)) return [];
  if (path.startsWith("/api/workbooks") || path === "/api/preferences") return path === "/api/preferences" ? {} : [];
  if (path === "/api/me") return { name: "a", role: "admin" };
  if (path === "/api/vehicles") return [{ name: "fs", title_en: "", title_fr: "", link: "up", age_ms: 1, epoch: null }];
  return vehicle;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
  isSignedIn = true;
  items = new Map();
  place = { protocol: "http:", host: "car", search: "" };
  vehicle = {
    name: "fs",
    title_en: "Car",
    title_fr: "Voiture",
    channels: ["A.b", "A.c", "G.lat", "G.lon", "G.ok"].map(channel),
    map: { latitude: "G.lat", longitude: "G.lon", valid: "G.ok" },
    charts: [{ title_en: "", title_fr: "", channels: ["A.b"] }],
  };
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", place);
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("history", { replaceState: (_: unknown, __: string, query: string) => (place.search = query) });
  vi.stubGlobal("localStorage", { getItem: (key: string) => items.get(key) ?? null, setItem: (key: string, value: string) => items.set(key, value), removeItem: (key: string) => items.delete(key) });
  vi.stubGlobal("requestAnimationFrame", () => 0);
  vi.stubGlobal("fetch", (path: string) =>
    Promise.resolve({ ok: isSignedIn, status: isSignedIn ? 200 : 401, json: () => Promise.resolve(respond(path)) }),
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

async function started(): Promise<Telemetry> {
  const telemetry = new Telemetry();
  await telemetry.load();
  FakeSocket.last.open();
  return telemetry;
}

function addChannel(telemetry: Telemetry, name: string): void {
  const panel = telemetry.workbooks.sheet.panels.find((one) => one.kind === "strip")!;
  telemetry.workbooks.changePanel(panel.id, { settings: panelOf("strip")!.drop!(panelOf("strip")!.read(panel.settings), name)! });
}

const watches = (): FakeSocket["sent"] => FakeSocket.last.sent.filter((message) => message.type === "watch" && message.until_utc_us === undefined);
const pasts = (): FakeSocket["sent"] => FakeSocket.last.sent.filter((message) => message.until_utc_us !== undefined);
const last = <T>(list: readonly T[]): T => list[list.length - 1]!;

function state(age_ms: number | null, link = "up", edge = 100e6, epoch = "e1"): object {
  return { type: "state", vehicle: "fs", link, age_ms, epoch, edge_utc_us: edge, frames_per_s: 1, rtt_ms: 1 };
}

function watching(edge: number): object {
  const { id } = last(watches());
  const channels = [{ index: 0, name: "A.b", unit: "V", kind: "continuous", choices: [], minimum: null, maximum: null }];
  return { type: "watching", id, vehicle: "fs", channels, unknown: [], rate_hz: 20, window_s: 60, bucket_us: 50_000, epoch: "e1", edge_utc_us: edge };
}

describe("Telemetry", () => {
  it("watches the channels of the sheet in one request", async () => {
    await started();
    expect(watches()).toEqual([{ type: "watch", id: 1, vehicle: "fs", channels: ["A.b", "G.lat", "G.lon", "G.ok"], rate_hz: 20, window_s: 60 }]);
  });

  it("joins quick changes into one request, and keeps them in storage and address", async () => {
    const telemetry = await started();
    addChannel(telemetry, "A.c");
    telemetry.setRate(50);
    telemetry.setWindow(30);
    vi.advanceTimersByTime(500);
    expect(watches().length).toBe(2);
    expect(last(watches())).toMatchObject({ channels: expect.arrayContaining(["A.b", "A.c"]), rate_hz: 50, window_s: 30 });
    expect(place.search).toBe("?vehicle=fs&rate=50&window=30");
    place.search = "";
    const again = await started();
    expect(again.view).toEqual(telemetry.view);
    expect(again.watched).toContain("A.c");
  });

  it("asks for no new history when panels only move", async () => {
    const telemetry = await started();
    const [first] = telemetry.workbooks.sheet.panels;
    telemetry.workbooks.arrange(new Map([[first!.id, { x: 0, y: 90, w: 3, h: 3 }]]));
    vi.advanceTimersByTime(500);
    expect(watches().length).toBe(1);
  });

  /** The answer to the last request, whole. */
  function answer(edge: number): void {
    FakeSocket.last.say({ ...watching(edge), window_s: last(watches()).window_s });
    FakeSocket.last.end();
  }

  it("shows the time of a link, fetching what lies before the window; the window that was chosen stays", async () => {
    place.search = "?vehicle=fs&window=30&from=20000&to=40000";
    const telemetry = await started();
    FakeSocket.last.say(watching(100e6));
    expect(telemetry.time.paused).toEqual({ fromUs: 20e6, toUs: 40e6 });
    expect(telemetry.isLoading).toBe(true);
    vi.advanceTimersByTime(500);
    expect(last(watches()).window_s).toBe(120);
    answer(100e6);
    expect(telemetry.isLoading).toBe(false);
    expect(telemetry.view.windowS).toBe(30);
    expect(place.search).toBe("?vehicle=fs&rate=20&window=30&from=20000&to=40000");
    telemetry.time.goLive();
    vi.advanceTimersByTime(500);
    expect(last(watches()).window_s).toBe(30);
    expect(telemetry.time.range()).toEqual({ fromUs: 70e6, toUs: 100e6 });
  });

  it("goes back in time beyond the window: step by step, by hand, from the live edge", async () => {
    const telemetry = await started();
    answer(1000e6);
    telemetry.earlier();
    expect(telemetry.time.paused).toEqual({ fromUs: 880e6, toUs: 940e6 });
    vi.advanceTimersByTime(500);
    expect(last(watches()).window_s).toBe(180);
    answer(1000e6);
    telemetry.time.pan(-0.5);
    vi.advanceTimersByTime(500);
    expect(telemetry.time.paused).toEqual({ fromUs: 850e6, toUs: 910e6 });
    expect(telemetry.isLoading).toBe(false); // It was fetched with the step before.
    expect(watches().length).toBe(2);
    telemetry.time.goLive();
    expect(telemetry.isLoading).toBe(false);
    telemetry.time.pan(-0.1);
    expect(telemetry.time.paused).toEqual({ fromUs: 934e6, toUs: 994e6 });
    telemetry.time.pan(1);
    expect(telemetry.time.bounds()).toEqual({ fromUs: 934e6, toUs: 1000e6 });
    expect(telemetry.view.windowS).toBe(60);
  });

  it("asks for finer samples of a lap of hours ago, shows them before all that lies between has come, and lets go of them", async () => {
    const telemetry = await started();
    answer(50_000e6);
    telemetry.visit({ fromUs: 20_000e6, toUs: 20_060e6 });
    vi.advanceTimersByTime(500);
    expect(last(watches()).window_s).toBeGreaterThan(30_000);
    expect(pasts().length).toBe(1);
    const [part] = pasts();
    expect(part).toMatchObject({ vehicle: "fs", channels: last(watches()).channels, rate_hz: 20, window_s: 180, until_utc_us: 20_120e6 });
    expect([telemetry.isLoading, telemetry.bucketUs]).toEqual([true, 50_000]);
    FakeSocket.last.say({ ...watching(20_120e6), id: part!.id, window_s: 180 });
    FakeSocket.last.end(part!.id);
    expect([telemetry.isLoading, telemetry.isCloser, telemetry.bucketUs]).toEqual([false, true, 50_000]);
    FakeSocket.last.say({ ...watching(50_000e6), window_s: last(watches()).window_s, bucket_us: 10e6 });
    expect(telemetry.bucketUs).toBe(50_000);
    telemetry.time.pan(0.5);
    vi.advanceTimersByTime(500);
    expect(pasts().length).toBe(1);
    telemetry.time.goLive();
    vi.advanceTimersByTime(500);
    expect(pasts().length).toBe(1);
    expect(FakeSocket.last.sent).toContainEqual({ type: "unwatch", id: part!.id });
    expect([telemetry.isCloser, telemetry.bucketUs]).toEqual([false, 10e6]);
  });

  it("asks for the part of the past anew after a reset, and where a better clock moved it", async () => {
    const telemetry = await started();
    answer(50_000e6);
    telemetry.visit({ fromUs: 20_000e6, toUs: 20_060e6 });
    vi.advanceTimersByTime(500);
    FakeSocket.last.say({ type: "reset", id: last(watches()).id });
    expect(pasts().map((one) => one.until_utc_us)).toEqual([20_120e6, 20_120e6]);
    answer(50_000e6);
    FakeSocket.last.say({ type: "reset", id: last(watches()).id, moved: { from_utc_us: 1e6, by_us: 500e6 } });
    answer(50_500e6);
    (telemetry as unknown as { onTick(): void }).onTick();
    vi.advanceTimersByTime(500);
    expect(last(pasts()).until_utc_us).toBe(20_620e6);
  });

  it("a sheet that is changed while paused gets the paused time, and late data reaches a long pause", async () => {
    const telemetry = await started();
    answer(100e6);
    telemetry.time.pause();
    FakeSocket.last.say(state(1, "up", 170e6));
    addChannel(telemetry, "A.c");
    vi.advanceTimersByTime(500);
    expect(last(watches()).window_s).toBeGreaterThanOrEqual(130);
    answer(170e6);
    const before = watches().length;
    vi.advanceTimersByTime(1000);
    (telemetry as unknown as { onTick(): void }).onTick();
    vi.advanceTimersByTime(500);
    expect(watches().length).toBe(before);
    FakeSocket.last.say(state(1, "up", 400e6));
    (telemetry as unknown as { onTick(): void }).onTick();
    vi.advanceTimersByTime(500);
    expect(last(watches()).window_s).toBeGreaterThanOrEqual(360);
    expect(telemetry.time.paused).toEqual({ fromUs: 40e6, toUs: 100e6 });
  });

  it("a jump to a later time than the pause goes there; one that cannot be shown is told, and moves nothing", async () => {
    const telemetry = await started();
    answer(100_000e6);
    telemetry.time.pause();
    FakeSocket.last.say(state(1, "up", 100_200e6));
    telemetry.visit({ fromUs: 100_150e6, toUs: 100_180e6 });
    expect(telemetry.time.paused).toEqual({ fromUs: 100_150e6, toUs: 100_180e6 });
    telemetry.visit({ fromUs: 1e6, toUs: 21e6 });
    expect(telemetry.unreachable).toEqual({ fromUs: 1e6, toUs: 21e6 });
    expect(telemetry.time.paused).toEqual({ fromUs: 100_150e6, toUs: 100_180e6 });
    telemetry.visit({ fromUs: 100_300e6, toUs: 100_320e6 });
    expect(telemetry.unreachable).not.toBeNull();
    telemetry.time.goLive();
    expect(telemetry.unreachable).toBeNull();
  });

  it("the button of an alarm shows its time, also before the window", async () => {
    const telemetry = await started();
    answer(1000e6);
    vi.stubGlobal("history", { replaceState: () => undefined, pushState: () => undefined });
    showTime(telemetry, 500e6);
    expect(telemetry.time.paused).toEqual({ fromUs: 490e6, toUs: 510e6 });
  });

  it("what the engine said of the vehicle before is not taken for the one in view", async () => {
    const telemetry = await started();
    FakeSocket.last.say(state(5, "up", 200e6));
    expect(telemetry.time.edgeUs).toBe(200e6);
    vehicle = { ...vehicle, name: "pe" };
    await telemetry.chooseVehicle("pe");
    const news = { edgeUs: 300e6, isHistoryComplete: true, closer: null, watches: 1, receivedBytes: 1 };
    const late = telemetry as unknown as { onEngine: (message: object) => void };
    late.onEngine({ type: "fresh", isNewer: true, isInView: true, news: { ...news, resets: 1 } });
    expect([telemetry.time.edgeUs, telemetry.isHistoryComplete]).toEqual([-Infinity, false]);
    late.onEngine({ type: "fresh", isNewer: true, isInView: true, news: { ...news, resets: 2 } });
    expect(telemetry.time.edgeUs).toBe(300e6);
  });

  it("nor does the engine itself go on with it", () => {
    const told: FromEngine[] = [];
    const engine = new Engine((message) => told.push(message));
    engine.receive({ type: "connect", url: "ws://car" });
    engine.receive({ type: "watch", request: { vehicle: "fs", channels: [], rate_hz: 20, window_s: 60 } });
    FakeSocket.last.open();
    FakeSocket.last.say(state(5, "up", 200e6));
    engine.receive({ type: "reset" });
    FakeSocket.last.say(state(5, "up", 201e6));
    expect(told.at(-1)).toMatchObject({ type: "message", news: { edgeUs: -Infinity, resets: 1 } });
  });

  it("of vehicles that are chosen one after the other, the last one counts", async () => {
    const telemetry = await started();
    const waiting = new Map<string, () => void>();
    const { fetch: at_once } = globalThis;
    vi.stubGlobal("fetch", async (path: string) => {
      const name = /^\/api\/vehicles\/(\w+)$/.exec(path)?.[1];
      if (name === undefined) return at_once(path);
      await new Promise<void>((go) => waiting.set(name, go));
      return { ok: true, status: 200, json: () => Promise.resolve({ ...vehicle, name }) };
    });
    const choices = ["pe", "ps"].map((name) => telemetry.chooseVehicle(name));
    waiting.get("ps")!();
    await choices[1];
    waiting.get("pe")!();
    await choices[0];
    expect([telemetry.vehicle?.name, last(watches()).channels === undefined]).toEqual(["ps", false]);
    expect(watches().filter((message) => "vehicle" in message && message.vehicle === "pe")).toEqual([]);
  });

  it("without data the whole session is no window", async () => {
    const telemetry = await started();
    telemetry.showSession();
    expect(telemetry.view.windowS).toBe(60);
  });

  it("signing out while the server is away is told; nothing else is lost", async () => {
    const telemetry = await started();
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("away")));
    await telemetry.leave();
    expect([telemetry.phase, telemetry.error]).toEqual(["ready", en["unreachable.title"]]);
  });

  it("a refusal is told in the language of the page", async () => {
    const telemetry = await started();
    FakeSocket.last.say({ type: "error", code: "not_allowed", message: "this link opens other channels" });
    expect(telemetry.error).toBe(en["error.not_allowed"]);
    FakeSocket.last.say({ type: "error", code: "bad_message", message: "rate_hz: too large" });
    expect(telemetry.error).toBe("The server says: rate_hz: too large");
  });

  it("a history that fails is asked for again, ever later, some times; then a person is asked", async () => {
    const telemetry = await started();
    const fail = (): void => FakeSocket.last.say({ type: "error", code: "history_failed", message: "busy", id: last(watches()).id });
    FakeSocket.last.say(watching(100e6));
    fail();
    expect([telemetry.history.reason, telemetry.history.isTrying, telemetry.error]).toEqual(["busy", true, null]);
    vi.advanceTimersByTime(1100);
    expect(watches().length).toBe(2);
    for (let k = 0; k < 10; k++) {
      fail();
      for (let second = 0; second < 40; second++) {
        vi.advanceTimersByTime(1000);
        FakeSocket.last.say(state(20)); // The server is alive.
      }
    }
    expect(watches().length).toBe(7);
    expect(telemetry.history.isTrying).toBe(false);
    telemetry.watchAgain();
    answer(100e6);
    expect(telemetry.history.reason).toBeNull();
  });

  it("values of a car that is dead are stale also under a resting pointer", async () => {
    const telemetry = await started();
    FakeSocket.last.say(state(20));
    telemetry.time.point(90e6);
    expect(telemetry.isStale).toBe(false);
    telemetry.nowMs = performance.now() + 1100;
    expect(telemetry.isStale).toBe(true);
    telemetry.time.goLive();
  });

  it("knows since when values are previews, and when they no longer are", async () => {
    const telemetry = await started();
    FakeSocket.last.say({ ...state(20), previews_from_utc_us: 99e6 });
    expect(telemetry.previewsFromUs).toBe(99e6);
    FakeSocket.last.say({ ...state(20), previews_from_utc_us: null });
    expect(telemetry.previewsFromUs).toBeNull();
  });

  it("hands messages of other types to those who listen", async () => {
    const telemetry = await started();
    const heard: unknown[] = [];
    const end = telemetry.listen("alarm", (message) => heard.push(message["text"]));
    FakeSocket.last.say({ type: "alarm", text: "<b>hot</b>" });
    end();
    FakeSocket.last.say({ type: "alarm", text: "again" });
    expect(heard).toEqual(["<b>hot</b>"]);
  });

  it("is live, stale after a second of silence, offline with the link down", async () => {
    const telemetry = await started();
    expect(telemetry.lamp).toBe("wait");
    FakeSocket.last.say(state(20));
    expect(telemetry.lamp).toBe("live");
    telemetry.nowMs = performance.now() + 1100;
    expect(telemetry.lamp).toBe("stale");
    FakeSocket.last.say(state(1200, "down"));
    expect(telemetry.lamp).toBe("offline");
    expect(telemetry.ageMs).toBe(1200);
  });

  it("pauses at the edge, scrubs inside the window, and goes live again", async () => {
    const telemetry = await started();
    FakeSocket.last.say(watching(100e6));
    telemetry.time.toggle();
    expect(telemetry.time.range()).toEqual({ fromUs: 40e6, toUs: 100e6 });
    FakeSocket.last.say(state(1, "up", 105e6));
    expect(telemetry.time.range().toUs).toBe(100e6);
    telemetry.time.show({ fromUs: 50e6, toUs: 60e6 });
    telemetry.time.pan(0.5);
    expect(telemetry.time.range()).toEqual({ fromUs: 55e6, toUs: 65e6 });
    telemetry.time.showAll();
    expect(telemetry.time.range()).toEqual({ fromUs: 40e6, toUs: 100e6 });
    telemetry.time.toggle();
    expect(telemetry.time.range()).toEqual({ fromUs: 45e6, toUs: 105e6 });
  });

  it("throws all away on a reset, and takes new channels over", async () => {
    const telemetry = await started();
    FakeSocket.last.say(watching(100e6));
    vehicle = { ...vehicle, channels: [...vehicle.channels, channel("N.ew")] };
    FakeSocket.last.say({ type: "reset", id: last(watches()).id });
    expect(telemetry.time.edgeUs).toBe(-Infinity);
    await vi.waitFor(() => expect(telemetry.channel("N.ew")).toBeDefined());
  });

  it("stays paused on the same samples when a better clock moves them, and where it is when others move", async () => {
    const telemetry = await started();
    FakeSocket.last.say(watching(100e6));
    telemetry.time.show({ fromUs: 50e6, toUs: 60e6 });
    FakeSocket.last.say({ type: "reset", id: last(watches()).id, moved: { from_utc_us: 80e6, by_us: 3600e6 } });
    expect(telemetry.time.paused).toEqual({ fromUs: 3650e6, toUs: 3660e6 });
    expect(telemetry.time.bounds().toUs).toBe(3700e6);
    FakeSocket.last.say({ type: "reset", id: last(watches()).id, moved: { from_utc_us: 9000e6, by_us: 5e6 } });
    FakeSocket.last.say({ type: "reset", id: last(watches()).id });
    expect(telemetry.time.paused).toEqual({ fromUs: 3650e6, toUs: 3660e6 });
  });

  it("tells what was missed, all of it, and fetches it on demand", async () => {
    const telemetry = await started();
    const { id } = last(watches());
    FakeSocket.last.say({ type: "missed", id, messages: 3, from_utc_us: 10, to_utc_us: 20 });
    FakeSocket.last.say({ type: "missed", id, messages: 4, from_utc_us: 15, to_utc_us: 40 });
    expect(telemetry.missed).toEqual({ messages: 7, fromUs: 10, toUs: 40 });
    telemetry.fetchMissed();
    expect(telemetry.missed).toBeNull();
    expect(watches().length).toBe(2);
  });

  it("a refused connection with nobody signed in shows the sign-in page", async () => {
    const telemetry = await started();
    isSignedIn = false;
    FakeSocket.last.onclose?.();
    await vi.waitFor(() => expect(telemetry.phase).toBe("signed_out"));
  });

  it("never watches more channels than the server allows", async () => {
    vehicle = { ...vehicle, channels: Array.from({ length: 300 }, (_, i) => channel(`M.s${i}`)), map: null };
    const telemetry = await started();
    for (let k = 0; k < 2; k++) telemetry.workbooks.addPanel("matrix", { channels: vehicle.channels.slice(150 * k, 150 * k + 150).map(({ name }) => name) });
    vi.advanceTimersByTime(500);
    expect(last(watches()).channels?.length).toBe(200);
    expect(telemetry.leftOut).toBeGreaterThan(90);
  });
});
