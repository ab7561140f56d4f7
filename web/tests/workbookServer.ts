import { vi } from "vitest";

interface Stored {
  readonly vehicle: string;
  readonly name: string;
  readonly is_shared: boolean;
  readonly content: unknown;
  readonly changed_utc_us: number;
  readonly is_mine: boolean;
}

/** The server's workbooks, as docs/spec/live.md has them, on a line that may fail. */
export class WorkbookServer {
  readonly stored = new Map<string, Stored>();
  /** The next request of this kind comes through, or not, and its answer is lost in any case. */
  fault: "none" | "away" | "unanswered" = "none";
  private time = 1000;

  constructor() {
    vi.stubGlobal("fetch", (path: string, init: RequestInit = {}) => this.take(path, init));
  }

  /** Another device, or person, saves. */
  put(id: string, content: unknown, isMine = true): void {
    this.stored.set(id, { vehicle: "fs", name: "Other", is_shared: true, content: structuredClone(content), is_mine: isMine, changed_utc_us: ++this.time });
  }

  private async take(path: string, init: RequestInit): Promise<unknown> {
    const { fault } = this;
    if (fault === "away") throw new TypeError("away");
    const answer = this.answer(path, init);
    if (init.keepalive !== true) await Promise.resolve();
    if (fault === "unanswered") throw new TypeError("the answer was lost");
    return answer;
  }

  private answer(path: string, init: RequestInit): unknown {
    const say = (status: number, value?: unknown): unknown => ({ ok: status < 400, status, statusText: "", json: () => Promise.resolve(structuredClone(value)) });
    const id = /\/api\/workbooks\/(\w+)/.exec(path)?.[1];
    const before = this.stored.get(id ?? "");
    const line = (key: string): object => ({ id: key, owner_name: "", ...this.stored.get(key)!, content: undefined });
    if (init.method === "POST") {
      const made = `new${++this.time}`;
      this.stored.set(made, { ...JSON.parse(String(init.body)), is_mine: true, changed_utc_us: this.time });
      return say(201, { id: made, changed_utc_us: this.time });
    }
    if (id === undefined) return say(200, [...this.stored.keys()].map(line));
    if (before === undefined || (init.method !== undefined && init.method !== "GET" && !before.is_mine)) return say(404, { error: { code: "unknown_workbook", message: "" } });
    if (init.method === "PUT") {
      const { replaces_utc_us, ...given } = JSON.parse(String(init.body));
      if (replaces_utc_us !== undefined && replaces_utc_us !== before.changed_utc_us) return say(409, { error: { code: "workbook_changed", message: "" } });
      this.stored.set(id, { ...given, is_mine: true, changed_utc_us: ++this.time });
      return say(200, { changed_utc_us: this.time });
    }
    if (init.method === "DELETE") return this.stored.delete(id), say(204);
    return say(200, { ...line(id), content: before.content });
  }
}

/** What a browser keeps. */
export class Kept {
  readonly items = new Map<string, string>();
  getItem = (key: string): string | null => this.items.get(key) ?? null;
  setItem = (key: string, value: string): void => void this.items.set(key, value);
  removeItem = (key: string): void => void this.items.delete(key);
}
