import { getJson, sendJson } from "../protocol/rest";

/** The registry of a vehicle as the server tells it (docs/api.md). Times are UTC in µs since 1970; null is an open end. */

export interface DbcFile {
  readonly digest: string;
  readonly name: string;
}

export interface Assignment {
  readonly id: number;
  readonly bus_index: number;
  readonly bus_name: string;
  readonly files: readonly DbcFile[];
  readonly author: string;
  readonly note: string;
  readonly valid_from_us: number | null;
  readonly valid_to_us: number | null;
  readonly created_utc_us: number;
}

export interface RecordedSession {
  readonly id: string;
  readonly utc_from_us: number;
  readonly utc_to_us: number;
}

export interface Registry {
  readonly buses: readonly { readonly index: number; readonly name: string }[];
  readonly assignments: readonly Assignment[];
  readonly aliases: readonly (readonly [name: string, target: string])[];
  readonly sessions: readonly RecordedSession[];
  readonly endings: readonly string[];
  readonly max_bytes: number;
}

export const KINDS = ["changed", "gone", "renamed", "new"] as const;
export type Kind = (typeof KINDS)[number];

export interface Example {
  readonly utc_us: number;
  readonly bus: number;
  readonly arbitration_id: number;
  readonly payload: string;
  readonly before: number | null;
  readonly after: number | null;
}

export interface Difference {
  readonly kind: Kind;
  readonly name: string;
  readonly former: string;
  readonly unit_before: string;
  readonly unit_after: string;
  readonly samples: number;
  readonly differing: number;
  readonly only_before: number;
  readonly only_after: number;
  readonly largest: number;
  readonly examples: readonly Example[];
}

export interface Finding {
  readonly code: string;
  readonly severity: "error" | "warning" | "note";
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly subject: string;
  readonly what: string;
  readonly advice: string;
}

export interface Change {
  readonly kind: "added" | "removed" | "changed";
  readonly subject: string;
  readonly details: readonly (readonly [field: string, before: string, after: string])[];
  readonly effect: string;
}

export interface Preview {
  readonly files: readonly DbcFile[];
  readonly taken: readonly {
    readonly name: string;
    readonly messages: number;
    readonly signals: number;
    readonly findings: readonly Finding[];
    readonly losses: readonly string[];
  }[];
  readonly changes: readonly Change[];
  readonly channels: readonly Difference[];
  readonly counts: Readonly<Record<Kind, number>>;
  readonly renames: readonly (readonly [former: string, name: string])[];
  readonly session: string | null;
}

export interface Order {
  readonly bus: string;
  readonly files: readonly ({ readonly name: string; readonly base64: string } | { readonly digest: string })[];
  readonly valid_from_us: number | null;
  readonly valid_to_us: number | null;
  readonly note: string;
  readonly aliases: readonly string[];
}

/** `recorded`, `now`, or the number of an assignment. */
export type Version = string;

/** From each version: [UTC, minimum, maximum] of each period that has samples. */
export interface Series {
  readonly utc_from_us: number;
  readonly utc_to_us: number;
  readonly versions: readonly (readonly (readonly [utc_us: number, minimum: number | null, maximum: number | null])[])[];
}

const path = (vehicle: string): string => `/api/vehicles/${encodeURIComponent(vehicle)}/dbc`;

export const getRegistry = (vehicle: string): Promise<Registry> => getJson(path(vehicle));

export const fileUrl = (vehicle: string, digest: string): string => `${path(vehicle)}/files/${encodeURIComponent(digest)}`;

export const preview = (vehicle: string, order: Order): Promise<Preview> => sendJson("POST", `${path(vehicle)}/preview`, order) as Promise<Preview>;

export const assign = (vehicle: string, order: Order): Promise<{ readonly id: number }> =>
  sendJson("POST", `${path(vehicle)}/assign`, order) as Promise<{ id: number }>;

export interface Pair {
  readonly session: string;
  readonly before: Version;
  readonly after: Version;
}

export const compare = (vehicle: string, pair: Pair): Promise<{ readonly channels: readonly Difference[]; readonly total: number }> =>
  getJson(`${path(vehicle)}/compare?${new URLSearchParams({ ...pair }).toString()}`);

export const series = (vehicle: string, pair: Pair, channel: string): Promise<Series> =>
  getJson(`${path(vehicle)}/series?${new URLSearchParams({ ...pair, channel }).toString()}`);

/** The bytes of a file as the server takes them. */
export async function base64Of(file: Blob): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  const step = 0x8000; // More arguments at once overflow the stack.
  for (let at = 0; at < bytes.length; at += step) text += String.fromCharCode(...bytes.subarray(at, at + step));
  return btoa(text);
}
