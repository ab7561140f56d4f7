/** JSON messages of the live WebSocket and JSON of the REST interface (docs/spec/live.md). Names are as on the wire. */

export interface User {
  /** A person's number; 0 of every guest. */
  readonly id?: number;
  readonly name: string;
  readonly role: string;
  /** The one session that a guest sees. */
  readonly session?: string;
  readonly is_named?: boolean;
  /** No admin has a name and a password yet: this one is asked for them. */
  readonly is_first_admin?: boolean;
}

export type Choice = readonly [number, string];
export type ChannelKind = "continuous" | "discrete";
export type Link = "up" | "down" | "unknown";

export interface WatchedChannel {
  readonly index: number;
  readonly name: string;
  readonly unit: string;
  readonly kind: ChannelKind;
  readonly choices: readonly Choice[];
  readonly minimum: number | null;
  readonly maximum: number | null;
}

export interface Welcome {
  readonly type: "welcome";
  readonly version: number;
  readonly user: User;
  readonly server_utc_us: number;
}

export interface Watching {
  readonly type: "watching";
  readonly id: number;
  readonly vehicle: string;
  readonly channels: readonly WatchedChannel[];
  readonly unknown: readonly string[];
  readonly rate_hz: number;
  readonly window_s: number;
  readonly bucket_us: number;
  readonly epoch: string | null;
  readonly edge_utc_us: number | null;
}

export interface VehicleState {
  readonly type: "state";
  readonly vehicle: string;
  readonly link: Link;
  readonly age_ms: number | null;
  readonly epoch: string | null;
  readonly edge_utc_us: number | null;
  readonly frames_per_s: number;
  readonly rtt_ms: number | null;
  /** When it changes, the vehicle has other channels of samples. */
  readonly sample_channels?: number;
  /** Values of this time and later are previews: every 50 to 100 ms the latest of each id, the rest comes later. */
  readonly previews_from_utc_us?: number | null;
}

export interface Reset {
  readonly type: "reset";
  readonly id: number;
  /** A better clock: what was at or after `from_utc_us` is now later by `by_us`. */
  readonly moved?: Moved | null;
}

export interface Moved {
  readonly from_utc_us: number;
  readonly by_us: number;
}

export interface Missed {
  readonly type: "missed";
  readonly id: number;
  readonly messages: number;
  readonly from_utc_us: number;
  readonly to_utc_us: number;
}

export interface LiveError {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
}

export type ServerMessage = Welcome | Watching | VehicleState | Reset | Missed | LiveError;

export interface Watch {
  readonly type: "watch";
  readonly id: number;
  readonly vehicle: string;
  readonly channels: readonly string[];
  readonly rate_hz: number;
  readonly window_s: number;
  /** The window ends here and nothing follows; without it at the live edge. */
  readonly until_utc_us?: number;
}

export interface Unwatch {
  readonly type: "unwatch";
  readonly id: number;
}

export type ClientMessage = Watch | Unwatch;

export interface VehicleSummary {
  readonly name: string;
  readonly title_en: string;
  readonly title_fr: string;
  readonly link: Link;
  readonly age_ms: number | null;
  readonly epoch: string | null;
}

export interface ChannelInfo {
  readonly name: string;
  readonly unit: string;
  readonly kind: ChannelKind;
  /** What people read in place of name and unit. */
  readonly title_en?: string;
  readonly title_fr?: string;
  readonly unit_en?: string;
  readonly unit_fr?: string;
  /** Names that it had before. */
  readonly former?: readonly string[];
  readonly message: string;
  readonly signal: string;
  readonly bus: number | string | null;
  readonly comment: string;
  readonly choices: readonly Choice[];
  readonly minimum: number | null;
  readonly maximum: number | null;
}

export interface MapChannels {
  readonly latitude: string;
  readonly longitude: string;
  readonly valid: string | null;
}

export interface ChartDefault {
  readonly title_en: string;
  readonly title_fr: string;
  readonly channels: readonly string[];
}

export interface VehicleInfo {
  readonly name: string;
  readonly title_en: string;
  readonly title_fr: string;
  readonly channels: readonly ChannelInfo[];
  readonly map: MapChannels | null;
  readonly charts: readonly ChartDefault[];
}

/** A message of a type that the live view itself does not know: alarms, laps, a newer server. */
export interface OtherMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

const SERVER_TYPES = new Set(["welcome", "watching", "state", "reset", "missed", "error"]);

/** Parses a text message; null where it is no message at all. */
export function parseServerMessage(text: string): ServerMessage | OtherMessage | null {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  return value as ServerMessage | OtherMessage;
}

export function isKnown(message: ServerMessage | OtherMessage): message is ServerMessage {
  return SERVER_TYPES.has(message.type);
}
