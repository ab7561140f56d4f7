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

const SAVE_MS = 800;
const RETRY_MS = 5000;
const EMPTY: PreferencesContent = { units: {}, favourites: {}, workbooks: {} };

/**
 * A person has several devices: each brings what was changed on it, one value at a time, onto what the server has then.
 * What the server does not have yet is kept here, by person.
 */
export class Preferences {
  content = $state.raw<PreferencesContent>(EMPTY);
  /** A guest's are kept on this device alone. */
  isLocal = false;
  private key = "";
  /** What the server does not have yet. */
  private changes: Changes = {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private saving: Promise<void> = Promise.resolve();

  /** Takes over what this person prefers; a server that is away leaves what is here. */
  async load(user: string): Promise<void> {
    this.key = `ved.preferences.${user}`;
    const stored = parse(localStorage.getItem(this.key)) as { content?: unknown; changes?: unknown } | null;
    this.changes = readChanges(stored?.changes);
    this.content = apply(read(stored?.content), this.changes);
    if (this.isLocal) return;
    await this.tried(async () => this.keep(apply(read(await getJson<unknown>("/api/preferences")), this.changes)));
    if (Object.keys(this.changes).length > 0) this.later(0);
  }

  set(change: Partial<PreferencesContent>): void {
    const after = { ...this.content, ...change };
    if (!this.isLocal) this.changes = { ...this.changes, ...differences(this.content, after) };
    this.keep(after);
    this.later(SAVE_MS);
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
    localStorage.setItem(this.key, JSON.stringify({ content, changes: this.changes }));
  }

  private later(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.saving = this.saving.then(() => this.save())), ms);
  }

  private async save(): Promise<void> {
    const sent = this.changes;
    if (this.isLocal || Object.keys(sent).length === 0) return;
    await this.tried(async () => {
      const content = apply(read(await getJson<unknown>("/api/preferences")), sent);
      await sendJson("PUT", "/api/preferences", content);
      this.changes = Object.fromEntries(Object.entries(this.changes).filter(([path, value]) => sent[path] !== value));
      this.keep(apply(content, this.changes));
    });
  }

  private async tried(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (error instanceof UnreachableError) this.later(RETRY_MS);
      else if (!(error instanceof SignedOutError || error instanceof RefusedError)) throw error;
    }
  }
}

/** Values by their path (JSON); null: taken away. */
type Changes = Readonly<Record<string, string | true | null>>;

/** Each value by its path: a unit, a star, a workbook. */
function valuesOf({ units, favourites, workbooks }: PreferencesContent): Record<string, string | true> {
  const path = (...names: string[]): string => JSON.stringify(names);
  return Object.fromEntries<string | true>([
    ...Object.entries(units).map(([quantity, unit]) => [path("units", quantity), unit] as const),
    ...Object.entries(favourites).flatMap(([vehicle, channels]) => channels.map((channel) => [path("favourites", vehicle, channel), true] as const)),
    ...Object.entries(workbooks).map(([vehicle, id]) => [path("workbooks", vehicle), id] as const),
  ]);
}

function differences(before: PreferencesContent, after: PreferencesContent): Changes {
  const [old, now] = [valuesOf(before), valuesOf(after)];
  const gone = Object.keys(old).filter((path) => !(path in now));
  const other = Object.entries(now).filter(([path, value]) => old[path] !== value);
  return Object.fromEntries<string | true | null>([...gone.map((path) => [path, null] as const), ...other]);
}

function apply(content: PreferencesContent, changes: Changes): PreferencesContent {
  const units: Record<string, string> = {};
  const favourites = new Map<string, string[]>();
  const workbooks: Record<string, string> = {};
  for (const [path, value] of Object.entries({ ...valuesOf(content), ...changes })) {
    const [kind, name, channel] = JSON.parse(path) as [string, string, string?];
    if (kind === "favourites" && value === true && channel !== undefined) favourites.set(name, [...(favourites.get(name) ?? []), channel]);
    else if (typeof value === "string") (kind === "units" ? units : workbooks)[name] = value;
  }
  return { units, favourites: Object.fromEntries(favourites), workbooks };
}

function readChanges(value: unknown): Changes {
  const known = (path: string): boolean => {
    const names = parse(path);
    return Array.isArray(names) && names.every((name) => typeof name === "string") && Object.keys(EMPTY).includes(String(names[0])) && names.length === (names[0] === "favourites" ? 3 : 2);
  };
  return entries(value, (one): one is string | true | null => one === null || one === true || typeof one === "string", known);
}

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

function entries<T>(value: unknown, isGood: (one: unknown) => one is T, isName: (name: string) => boolean = () => true): Record<string, T> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, T] => isName(entry[0]) && isGood(entry[1])));
}
