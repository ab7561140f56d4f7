import { RefusedError, SignedOutError, UnreachableError } from "../protocol/rest";
import { readWorkbook, type Workbook } from "./model";
import { getWorkbook, saveOnLeaving, saveWorkbook, type WorkbookDraft } from "./rest";

const SAVE_MS = 1000;
const RETRY_MS = 5000;
/** What a browser still sends for a page that is gone: 64 KiB, with room for what else is on its way. */
const MOST_ON_LEAVING = 60_000;

/**
 * How far one's own workbook is on its way to the server. `conflict`: it was changed on another device meanwhile, and
 * the person says which one stays. `refused`: the server does not want it. `gone`: it was deleted elsewhere.
 */
export type Progress = "saved" | "unsaved" | "saving" | "failed" | "refused" | "conflict" | "gone";

/** A workbook whose newest content the server does not have, as far as the page knows. */
interface Unsaved extends WorkbookDraft {
  /** `changed_utc_us` of the server's copy that it was made from. */
  readonly base: number;
  /** What was sent without an answer: the server may have it. */
  readonly sent: Workbook | null;
}

export type KeyStore = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/**
 * Brings changes of one's own workbooks to the server, each under its own id, whichever is shown. What the server does
 * not have yet is kept on this device, sent again until it does, also after a reload, and never put over a newer copy.
 */
export class Saver {
  private readonly waiting = new Map<string, Unsaved>();
  private readonly stamps = new Map<string, number>();
  private readonly states = new Map<string, Progress>();
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly running = new Map<string, Promise<void>>();
  private key = "";

  constructor(
    private readonly storage: KeyStore,
    private readonly onProgress: (id: string, progress: Progress) => void,
  ) {}

  /** Takes up what this person left unsaved on this device. */
  resume(user: string): void {
    this.key = `ved.unsaved.${user}`;
    for (const [id, one] of Object.entries(this.stored())) {
      if (this.waiting.has(id)) continue;
      this.waiting.set(id, one);
      void this.flush(id);
    }
  }

  /** The server's copy is the one of this time. */
  know(id: string, changedUtcUs: number): void {
    this.stamps.set(id, changedUtcUs);
  }

  /** What of this workbook waits for the server. */
  unsaved(id: string): WorkbookDraft | undefined {
    return this.waiting.get(id);
  }

  progress(id: string): Progress {
    return this.states.get(id) ?? "saved";
  }

  /** A change: kept at once, sent soon. */
  change(id: string, draft: WorkbookDraft): void {
    const before = this.waiting.get(id);
    this.put(id, { ...draft, base: before?.base ?? this.stamps.get(id) ?? 0, sent: before?.sent ?? null });
    if (this.progress(id) === "conflict") return;
    this.tell(id, "unsaved");
    this.later(id, SAVE_MS);
  }

  /** Sends what waits now; at the end it is saved, or `progress` tells why not. */
  async flush(id: string): Promise<void> {
    clearTimeout(this.timers.get(id));
    if (!this.waiting.has(id) || this.progress(id) === "conflict") return;
    const before = this.running.get(id);
    const work = (before ?? Promise.resolve()).then(() => this.run(id));
    this.running.set(id, work);
    await work;
    if (this.running.get(id) === work) this.running.delete(id);
  }

  /**
   * The page goes away: what fits into a last message is sent without waiting for the answer. The rest is kept here, and
   * so is what follows on something sent without an answer: the next start compares first.
   */
  leave(): void {
    let room = MOST_ON_LEAVING;
    for (const [id, one] of this.waiting) {
      if (this.progress(id) === "conflict" || (one.sent !== null && one.sent !== one.content)) continue;
      const { length } = new TextEncoder().encode(JSON.stringify(one.content));
      if (length > room) continue;
      room -= length;
      this.put(id, { ...one, sent: one.content });
      saveOnLeaving(id, draftOf(one), one.base);
    }
  }

  /** After a conflict: what stands here stays, in place of the copy of the other device. */
  async insist(id: string): Promise<void> {
    const one = this.waiting.get(id);
    if (one === undefined) return;
    const told = await getWorkbook(id);
    this.put(id, { ...one, name: told.name, is_shared: told.is_shared, base: told.changed_utc_us, sent: null });
    this.tell(id, "unsaved");
    await this.flush(id);
  }

  /** What waits is no longer wanted. */
  forget(id: string): void {
    clearTimeout(this.timers.get(id));
    this.put(id, null);
    this.tell(id, "saved");
  }

  private async run(id: string): Promise<void> {
    if (this.progress(id) === "conflict") return;
    try {
      for (let one = this.waiting.get(id); one !== undefined; one = this.waiting.get(id)) {
        this.tell(id, "saving");
        if (one.sent !== null && !(await this.compare(id))) return;
        if (!(await this.send(id))) return;
      }
    } catch (error) {
      this.failed(id, error);
    }
  }

  /** False in a conflict. */
  private async send(id: string): Promise<boolean> {
    const one = this.waiting.get(id);
    if (one === undefined) return true; // The comparison found it on the server.
    this.put(id, { ...one, sent: one.content });
    try {
      this.done(id, one, await saveWorkbook(id, draftOf(one), one.base));
      return true;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      const now = this.waiting.get(id);
      if (now !== undefined) this.put(id, { ...now, sent: null }); // It was answered: the server does not have it.
      if (error.code !== "workbook_changed") throw error;
      if (!(await this.compare(id))) return false;
      if (this.waiting.get(id)?.base === one.base) throw new UnreachableError("refused, but not changed"); // Later, not at once.
      return true;
    }
  }

  /** Looks at what the server has; false when it is of another device. */
  private async compare(id: string): Promise<boolean> {
    const told = await getWorkbook(id);
    const one = this.waiting.get(id);
    if (one === undefined) return true;
    const isThere = isSame(told.content, one.content);
    if (isThere && told.name === one.name && told.is_shared === one.is_shared) this.done(id, one, told.changed_utc_us);
    else if (told.changed_utc_us === one.base) this.put(id, { ...one, sent: null });
    else if (isThere || (one.sent !== null && isSame(told.content, one.sent))) this.put(id, { ...one, base: told.changed_utc_us, sent: null });
    else {
      this.put(id, { ...one, sent: null });
      this.tell(id, "conflict");
      return false;
    }
    return true;
  }

  private done(id: string, sent: WorkbookDraft, changedUtcUs: number): void {
    this.stamps.set(id, changedUtcUs);
    const now = this.waiting.get(id);
    if (now === undefined) return;
    const isAll = now.content === sent.content && now.name === sent.name && now.is_shared === sent.is_shared;
    this.put(id, isAll ? null : { ...now, base: changedUtcUs, sent: null });
    if (isAll) this.tell(id, "saved");
  }

  private failed(id: string, error: unknown): void {
    if (error instanceof UnreachableError) this.later(id, RETRY_MS);
    else if (!(error instanceof RefusedError || error instanceof SignedOutError)) throw error;
    if (!(error instanceof RefusedError)) this.tell(id, "failed");
    else this.tell(id, error.status === 404 ? "gone" : "refused");
  }

  private later(id: string, ms: number): void {
    clearTimeout(this.timers.get(id));
    this.timers.set(id, setTimeout(() => void this.flush(id), ms));
  }

  private tell(id: string, progress: Progress): void {
    this.states.set(id, progress);
    this.onProgress(id, progress);
  }

  private put(id: string, one: Unsaved | null): void {
    // Another tab may keep workbooks in the same place.
    const { [id]: _, ...others } = this.stored();
    if (one === null) this.waiting.delete(id);
    else this.waiting.set(id, one);
    const all = one === null ? others : { ...others, [id]: one };
    if (Object.keys(all).length === 0) this.storage.removeItem(this.key);
    else keepText(this.storage, this.key, JSON.stringify(all));
  }

  private stored(): Record<string, Unsaved> {
    try {
      const all: unknown = JSON.parse(this.storage.getItem(this.key) ?? "{}");
      return Object.fromEntries(Object.entries(all as Record<string, unknown>).flatMap(([id, one]) => (isUnsaved(one) ? [[id, { ...one, content: readWorkbook(one.content) }]] : [])));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return {}; // Written by another version of this page.
    }
  }
}

/** Keeps a text where the browser has room for it. */
export function keepText(storage: KeyStore, key: string, text: string): void {
  try {
    storage.setItem(key, text);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error; // Full, or forbidden: the page still holds it.
  }
}

const draftOf = ({ vehicle, name, is_shared, content }: WorkbookDraft): WorkbookDraft => ({ vehicle, name, is_shared, content });

function isSame(told: unknown, mine: Workbook): boolean {
  try {
    return JSON.stringify(readWorkbook(told)) === JSON.stringify(readWorkbook(mine));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return false; // Of another version of this page.
  }
}

function isUnsaved(value: unknown): value is Unsaved {
  const one = value as Partial<Unsaved> | null;
  return typeof one === "object" && one !== null && typeof one.base === "number" && typeof one.name === "string" && typeof one.vehicle === "string" && typeof one.is_shared === "boolean";
}
