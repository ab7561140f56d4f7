import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Laps } from "../src/laps/laps.svelte";
import { secondsAt, traceOf } from "../src/laps/overlay";
import { positionsOf } from "../src/laps/positions";
import type { Lap, Series } from "../src/laps/rest";
import { keyOf, LapLoader, type LapRequest } from "../src/panels/LapOverlay/loader";

const FROM_US = 1e12;
const lapOf = (number: number, time_s = 50): Lap => ({ number, utc_from_us: FROM_US, utc_to_us: FROM_US + time_s * 1e6, time_s, length_m: 1000, is_whole: true, sectors_s: [] });
const column = (t_us: readonly number[], last: readonly (number | null)[]): Series => ({ name: "", unit: "", t_us, last });

describe("positions", () => {
  it("pair up where latitude and longitude are messages of their own", () => {
    const times = Array.from({ length: 501 }, (_, i) => FROM_US + i * 1e5);
    const part = (us: number): number => ((us - FROM_US) / 50e6) ** 2;
    const latitude = column(times, times.map((us) => 48 + 0.01 * part(us)));
    const later = times.map((us) => us + 50_000);
    const longitude = column(later, later.map((us) => 2 + 0.01 * part(us)));
    const trace = traceOf(lapOf(1), latitude, longitude);
    expect(trace.isPlaced).toBe(true);
    expect(secondsAt(trace, 0.25)).toBeCloseTo(25, 0);
    for (const { us, longitude: east } of positionsOf(latitude, longitude).slice(1)) expect(east).toBeCloseTo(2 + 0.01 * part(us), 7);
  });

  it("are none without a longitude near in time, or without a fix; then the overlay knows", () => {
    const latitude = column([FROM_US, FROM_US + 1e6, FROM_US + 2e6], [48, 0, null]);
    expect(positionsOf(latitude, column([FROM_US + 1e6, FROM_US + 9e6], [0, 2]))).toEqual([{ us: FROM_US, latitude: 48, longitude: 0 }]);
    expect(positionsOf(latitude, column([FROM_US + 9e6], [2]))).toEqual([]);
    expect(traceOf(lapOf(1), latitude, undefined).isPlaced).toBe(false);
  });
});

describe("what the server has of laps", () => {
  let answer: (path: string) => { status: number; value: unknown };

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("document", { hidden: false });
    vi.stubGlobal("fetch", (path: string) => {
      const { status, value } = answer(path);
      return status === 0 ? Promise.reject(new TypeError("away")) : Promise.resolve({ ok: status < 400, status, statusText: "", json: () => Promise.resolve(value) });
    });
    return () => {
      vi.unstubAllGlobals();
      vi.useRealTimers();
    };
  });

  describe("an overlay", () => {
    const series = (path: string): object => ({
      channels: Object.fromEntries([...new URLSearchParams(path.split("?")[1]).getAll("channel")].map((name) => [name, column([FROM_US, FROM_US + 50e6], [1, 2])])),
    });
    const request = (number: number, ...channels: string[]): LapRequest => ({ session: "s", lap: lapOf(number), channels, map: null });
    const loader = (): LapLoader => new LapLoader((name) => [name, ...(name === "A.new" ? ["A.old"] : [])], () => undefined);

    it("shows the channels that the session has, and names the others", async () => {
      answer = (path) => {
        if (path.endsWith("/channels")) return { status: 200, value: [{ name: "A.b" }, { name: "A.old" }] };
        return path.includes("gone") ? { status: 400, value: { error: { code: "bad_request", message: "there is none" } } } : { status: 200, value: series(path) };
      };
      const one = loader();
      const asked = request(1, "A.b", "A.gone", "A.new");
      one.want([asked]);
      await vi.advanceTimersByTimeAsync(0);
      const found = one.loaded.get(keyOf(asked))!;
      expect([...found.series.keys()]).toEqual(["A.b", "A.new"]);
      expect(found.missing).toEqual(["A.gone"]);
    });

    it("says why it is empty, and comes when the server does", async () => {
      answer = (path) => (path.endsWith("/channels") ? { status: 200, value: [{ name: "A.b" }] } : { status: 404, value: { error: { code: "x", message: "no session has this id" } } });
      const one = loader();
      one.want([request(1, "A.b")]);
      await vi.advanceTimersByTimeAsync(0);
      expect(one.problem).toBe("no session has this id");
      answer = () => ({ status: 0, value: null });
      one.want([request(2, "A.b")]);
      await vi.advanceTimersByTimeAsync(1000);
      expect([one.problem, one.loaded.size]).toEqual(["", 0]);
      answer = (path) => ({ status: 200, value: series(path) });
      await vi.advanceTimersByTimeAsync(6000);
      expect(one.loaded.size).toBe(1);
    });

    it("holds the laps that are shown and no others, however many come", async () => {
      answer = (path) => ({ status: 200, value: series(path) });
      const one = loader();
      for (let lap = 2; lap < 200; lap++) {
        one.want([request(1, "A.b"), request(lap, "A.b")]);
        await vi.advanceTimersByTimeAsync(0);
      }
      expect([...one.loaded.keys()]).toEqual([keyOf(request(1, "A.b")), keyOf(request(199, "A.b"))]);
      one.want([request(50, "A.b")]);
      await vi.advanceTimersByTimeAsync(0);
      expect([...one.loaded.keys()]).toEqual([keyOf(request(50, "A.b"))]);
    });
  });

  describe("the lap table", () => {
    let sessions: { id: string }[];
    const laps: Record<string, Lap[]> = { old: [lapOf(1), lapOf(2, 40)], new: [lapOf(1, 60), lapOf(2, 55), lapOf(3, 58)], empty: [] };
    let store: Laps;
    let end: () => void;
    let marked: (readonly number[])[];

    beforeEach(async () => {
      sessions = ["old", "new"].map((id) => ({ id }));
      answer = (path) => {
        const session = /sessions\/(\w+)\/laps/.exec(path)?.[1];
        return { status: 200, value: session === undefined ? sessions : { laps: laps[session] } };
      };
      store = new Laps();
      marked = [];
      end = store.follow("fs", () => marked.push(store.laps.map((lap) => lap.time_s)));
      await vi.advanceTimersByTimeAsync(0);
    });
    afterEach(() => end());

    it("takes out the last lap, and keeps what else is shown", () => {
      expect(store.compared.map((lap) => lap.number)).toEqual([2, 3]);
      store.toggle(3);
      expect(store.compared.map((lap) => lap.number)).toEqual([2]);
      store.toggle(1);
      expect(store.compared.map((lap) => lap.number)).toEqual([2, 1]);
      store.toggle(1);
      store.toggle(3);
      expect(store.compared.map((lap) => lap.number)).toEqual([2, 3]);
    });

    it("are named with their session in a link, which shows the same when there is a newer one", async () => {
      expect(store.shared.session).toBe(null);
      store.toggle(1);
      const link = store.shared;
      expect(link).toEqual({ session: "new", picked: [2, 3, 1], reference: null, part: null });
      sessions = [...sessions, { id: "empty" }];
      const other = new Laps();
      const stop = other.follow("fs", () => undefined);
      other.see(link);
      await vi.advanceTimersByTimeAsync(0);
      expect(other.session?.id).toBe("new");
      expect(other.compared.map((lap) => lap.number)).toEqual([2, 1, 3]);
      stop();
    });

    it("marks the laps of the session that is chosen, and of the newest again", async () => {
      await store.choose("old");
      expect(marked.at(-1)).toEqual([50, 40]);
      await store.choose(null);
      expect(marked.at(-1)).toEqual([60, 55, 58]);
      laps["old"] = [];
      await store.choose("old");
      expect(marked.at(-1)).toEqual([]);
    });
  });
});
