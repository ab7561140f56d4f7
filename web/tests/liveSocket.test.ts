import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ServerMessage } from "../src/protocol/messages";
import { LiveSocket, type ConnectionStatus } from "../src/source/liveSocket";

class FakeSocket {
  readyState = 0;
  binaryType = "";
  readonly sent: unknown[] = [];
  isClosed = false;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  onclose: (() => void) | null = null;

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.isClosed = true;
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  welcome(): void {
    this.readyState = 1;
    this.say({ type: "welcome", version: 1, user: { name: "", role: "viewer" }, server_utc_us: 0 });
  }
  fail(): void {
    this.readyState = 3;
    this.onclose?.();
  }
}

const request = { vehicle: "fs", channels: ["A.b"], rate_hz: 20, window_s: 60 };
let sockets: FakeSocket[];
let statuses: ConnectionStatus[];
let messages: ServerMessage[];
let columns: number;
let past: (ServerMessage | string)[];
let bad: string[];
let live: LiveSocket;

function increment(subscription: number): ArrayBuffer {
  const data = new ArrayBuffer(32);
  const view = new DataView(data);
  view.setUint8(0, 1);
  view.setUint8(1, 2);
  view.setUint16(2, subscription, true);
  view.setUint32(16, 1, true);
  return data;
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  statuses = [];
  messages = [];
  columns = 0;
  past = [];
  bad = [];
  live = new LiveSocket(
    "ws://x/api/live",
    {
      onMessage: (message) => messages.push(message),
      onOther: () => undefined,
      onColumns: () => columns++,
      onPast: (message) => past.push(message),
      onPastColumns: () => past.push("columns"),
      onStatus: (status) => statuses.push(status),
      onFailure: () => {},
      onBad: (why) => bad.push(why),
    },
    () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
  );
});

afterEach(() => {
  live.close();
  vi.useRealTimers();
});

describe("LiveSocket", () => {
  it("asks after the welcome, and again after every reconnect", () => {
    live.watch(request);
    live.connect();
    sockets[0]!.welcome();
    expect(sockets[0]!.sent).toEqual([{ type: "watch", id: 1, ...request }]);
    sockets[0]!.fail();
    expect(statuses.at(-1)).toBe("waiting");
    vi.advanceTimersByTime(500);
    sockets[1]!.welcome();
    expect(sockets[1]!.sent).toEqual([{ type: "watch", id: 1, ...request }]);
    expect(statuses.at(-1)).toBe("open");
  });

  it("never gives up, and waits at most some seconds", () => {
    live.connect();
    for (let i = 0; i < 200; i++) {
      sockets.at(-1)!.fail();
      vi.advanceTimersByTime(6000);
    }
    expect(sockets.length).toBeGreaterThan(200);
  });

  it("asks for a part of the past beside the window, keeps the answers apart, and asks again after a reconnect", () => {
    const part = { ...request, until_utc_us: 5 };
    live.watch(request);
    live.connect();
    sockets[0]!.welcome();
    live.lookBack(part);
    expect(sockets[0]!.sent.at(-1)).toEqual({ type: "watch", id: 2, ...part });
    sockets[0]!.onmessage!({ data: increment(2) });
    sockets[0]!.onmessage!({ data: JSON.stringify({ type: "error", code: "history_failed", message: "busy", id: 2 }) });
    expect([past.length, columns, messages.filter((one) => one.type === "error").length]).toEqual([2, 0, 0]);
    live.lookBackAgain();
    expect(sockets[0]!.sent.slice(-2)).toEqual([{ type: "unwatch", id: 2 }, { type: "watch", id: 3, ...part }]);
    sockets[0]!.onmessage!({ data: increment(2) });
    expect(past.length).toBe(2);
    sockets[0]!.fail();
    vi.advanceTimersByTime(500);
    sockets[1]!.welcome();
    expect(sockets[1]!.sent).toEqual([{ type: "watch", id: 1, ...request }, { type: "watch", id: 3, ...part }]);
    live.lookBack(null);
    live.lookBackAgain();
    expect(sockets[1]!.sent.slice(2)).toEqual([{ type: "unwatch", id: 3 }]);
  });

  it("replaces what is watched under a new number, and drops what comes for the old one", () => {
    live.watch(request);
    live.connect();
    sockets[0]!.welcome();
    live.watch({ ...request, rate_hz: 100 });
    expect(sockets[0]!.sent.slice(1)).toEqual([
      { type: "unwatch", id: 1 },
      { type: "watch", id: 2, ...request, rate_hz: 100 },
    ]);
    sockets[0]!.onmessage?.({ data: increment(1) });
    expect(columns).toBe(0);
    sockets[0]!.onmessage?.({ data: increment(2) });
    expect(columns).toBe(1);
    sockets[0]!.say({ type: "reset", id: 1 });
    expect(messages.filter((message) => message.type === "reset")).toEqual([]);
  });

  it("leaves a connection that has gone silent", () => {
    live.connect();
    sockets[0]!.welcome();
    vi.advanceTimersByTime(4900);
    expect(sockets[0]!.isClosed).toBe(false);
    vi.advanceTimersByTime(5900);
    expect(sockets[0]!.isClosed).toBe(true);
    expect(sockets.length).toBeGreaterThan(1);
  });

  it("is patient while a history is under way on a slow link, and before the welcome", () => {
    live.watch(request);
    live.connect();
    vi.advanceTimersByTime(14_000);
    expect(sockets.length).toBe(1);
    sockets[0]!.welcome();
    vi.advanceTimersByTime(14_000);
    expect(sockets[0]!.isClosed).toBe(false);
    sockets[0]!.onmessage?.({ data: increment(1) });
    vi.advanceTimersByTime(14_000);
    expect(sockets[0]!.isClosed).toBe(false);
    const end = increment(1);
    new DataView(end).setUint8(1, 1);
    new DataView(end).setUint16(6, 1, true);
    sockets[0]!.onmessage?.({ data: end });
    vi.advanceTimersByTime(5100);
    expect(sockets[0]!.isClosed).toBe(true);
  });

  it("drops and tells what it cannot read, ignores what it does not know", () => {
    live.connect();
    sockets[0]!.welcome();
    sockets[0]!.onmessage?.({ data: new ArrayBuffer(7) });
    sockets[0]!.onmessage?.({ data: "{" });
    sockets[0]!.say({ type: "later", id: 1 });
    expect(bad.length).toBe(2);
    expect(messages.length).toBe(1);
  });

  it("stays closed once closed", () => {
    live.connect();
    live.close();
    sockets[0]!.fail();
    vi.advanceTimersByTime(60_000);
    expect(sockets.length).toBe(1);
  });
});
