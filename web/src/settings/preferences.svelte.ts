import { getJson, RefusedError, sendJson, SignedOutError, UnreachableError } from "../protocol/rest";

/** What a person prefers, on all their devices: kept on the server, and here for the next start. */
export interface PreferencesContent {
  /** Unit to show in place of the DBC's, by quantity (units/units.ts). */
  readonly units: Readonly<Record<string, string>>;
  /** Channels with a star, by vehicle. */
  readonly favourites: Readonly<Record<string, readonly string[]>>;
  /** The workbook that was open last, by vehicle. */
  readonly workbooks: Readonly<Record<string, string>>;
}

const STORED = "ved.preferences";
const SAVE_MS = 800;
const EMPTY: PreferencesContent = { units: {}, favourites: {}, workbooks: {} };

export class Preferences {
  content = $state.raw<PreferencesContent>(read(parse(localStorage.getItem(STORED))));
  /** A guest's are kept on this device alone. */
  isLocal = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes over what the server has; a server that is away or does not know the person leaves what is here. */
  async load(): Promise<void> {
    if (this.isLocal) return;
    try {
      const told = await getJson<unknown>("/api/preferences");
      if (typeof told === "object" && told !== null && Object.keys(told).length > 0) this.keep(read(told));
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }

  set(change: Partial<PreferencesContent>): void {
    this.keep({ ...this.content, ...change });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.save(), SAVE_MS);
  }

  isFavourite(vehicle: string, channel: string): boolean {
    return this.content.favourites[vehicle]?.includes(channel) ?? false;
  }

  toggleFavourite(vehicle: string, channel: string): void {
    const before = this.content.favourites[vehicle] ?? [];
    const after = before.includes(channel) ? before.filter((name) => name !== channel) : [...before, channel];
    this.set({ favourites: { ...this.content.favourites, [vehicle]: after } });
  }

  private keep(content: PreferencesContent): void {
    this.content = content;
    localStorage.setItem(STORED, JSON.stringify(content));
  }

  private async save(): Promise<void> {
    if (this.isLocal) return;
    try {
      await sendJson("PUT", "/api/preferences", this.content);
    } catch (error) {
      if (!isExpected(error)) throw error; // Kept here; the next change tries again.
    }
  }
}

const isExpected = (error: unknown): boolean => error instanceof SignedOutError || error instanceof UnreachableError || error instanceof RefusedError;

function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "{}");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {};
  }
}

function read(value: unknown): PreferencesContent {
  if (typeof value !== "object" || value === null) return EMPTY;
  const given = value as Partial<Record<keyof PreferencesContent, unknown>>;
  return {
    units: entries(given.units, (one): one is string => typeof one === "string"),
    favourites: entries(given.favourites, (one): one is string[] => Array.isArray(one) && one.every((name) => typeof name === "string")),
    workbooks: entries(given.workbooks, (one): one is string => typeof one === "string"),
  };
}

function entries<T>(value: unknown, isGood: (one: unknown) => one is T): Record<string, T> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, T] => isGood(entry[1])));
}
