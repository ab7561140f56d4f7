import { afterEach, describe, expect, it, vi } from "vitest";
import { bytesOf, filterRows, idText, keyOf, listen, NOTHING, shownAfter, type Trace, type TraceRow } from "../src/panels/RawTrace/trace";

const motor: TraceRow = [0, 0x1f0, false, 10, 100, "0102", "00ff", "Motor"];
const unknown: TraceRow = [1, 0x18fef100, true, 3, 1, "", "", ""];
const hostile: TraceRow = [1, 0x1f0, true, 3, 1, "", "", "<img src=x>"];

describe("raw trace", () => {
  it("writes ids and bytes", () => {
    expect([motor, unknown].map(idText)).toEqual(["1F0", "18FEF100x"]);
    expect(new Set([motor, unknown, hostile].map(keyOf)).size).toBe(3);
    expect(bytesOf("00ff7F")).toEqual([0, 255, 127]);
  });

  it("filters by words of id and message, and unknown ids", () => {
    const rows = [motor, unknown, hostile];
    expect(filterRows(rows, "mot 1f", false)).toEqual([motor]);
    expect(filterRows(rows, "0x1F0", false)).toEqual([motor, hostile]);
    expect(filterRows(rows, "", true)).toEqual([unknown]);
    expect(filterRows(rows, "<img", false)).toEqual([hostile]);
  });
});

describe("what the panel shows", () => {
  const trace = (frames: number): Trace => ({ type: "trace", vehicle: "fs", rows: [[0, 1, false, frames, 9, "", "", ""]], left_out: 0 });

  it("is the newest, stands still under a pause, and is old when the connection is lost", () => {
    const first = shownAfter(NOTHING, trace(1), 10, false);
    expect([first.trace?.rows[0]![3], first.us, first.isLost]).toEqual([1, 10, false]);
    expect(shownAfter(first, trace(2), 20, true)).toBe(first);
    expect(shownAfter(first, null, 20, true)).toBe(first);
    const lost = shownAfter(first, null, 20, false);
    expect([lost.trace, lost.us, lost.isLost]).toEqual([first.trace, 10, true]);
    expect(shownAfter(lost, trace(3), 30, false).isLost).toBe(false);
    expect(shownAfter(NOTHING, trace(1), 10, true).trace).toBeNull();
  });
});

describe("listening", () => {
  afterEach(() => vi.useRealTimers());

  it("comes back after a lost connection, and ends for good", () => {
    vi.useFakeTimers();
    vi.stubGlobal("location", { protocol: "http:", host: "pit:8000" });
    const made: { url: string; closed: boolean; onmessage: (event: { data: string }) => void; onclose: () => void }[] = [];
    const open = (url: string): WebSocket => {
      const socket = { url, closed: false, onmessage: () => undefined, onclose: () => undefined, close: () => (socket.closed = true) };
      made.push(socket as never);
      return socket as unknown as WebSocket;
    };
    const heard: (Trace | null)[] = [];
    const end = listen("f s", (trace) => heard.push(trace), open);
    expect(made[0]!.url).toBe("ws://pit:8000/api/vehicles/f%20s/trace");
    made[0]!.onmessage({ data: JSON.stringify({ type: "trace", vehicle: "f s", rows: [motor], left_out: 0 }) });
    expect(heard[0]!.rows).toEqual([motor]);
    made[0]!.onclose();
    expect(heard[1]).toBeNull();
    vi.advanceTimersByTime(2500);
    expect(made.length).toBe(2);
    end();
    made[1]!.onclose();
    vi.advanceTimersByTime(10_000);
    expect([made.length, made[1]!.closed, heard.length]).toEqual([2, true, 2]);
    vi.unstubAllGlobals();
  });
});
