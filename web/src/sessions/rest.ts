import { positionsOf } from "../laps/positions";
import { getJson, sendJson } from "../protocol/rest";
import type { Place } from "./drawing";

/** Sessions, laps and tracks as the server tells them (docs/api.md). Times are UTC in µs since 1970. */

export interface TrackName {
  readonly id: string;
  readonly name: string;
}

export interface Line {
  readonly start: Place;
  readonly end: Place;
  readonly is_one_way: boolean;
}

export interface Track extends TrackName {
  readonly lines: readonly Line[];
}

/** Channels that place the vehicle. */
export interface MapNames {
  readonly latitude: string;
  readonly longitude: string;
}

export interface Notes {
  readonly name: string;
  readonly driver: string;
  readonly setup: string;
  readonly notes: string;
  readonly tags: readonly string[];
}

export interface SessionLine extends Notes {
  readonly id: string;
  readonly vehicle: string;
  readonly utc_from_us: number;
  readonly utc_to_us: number;
  readonly duration_s: number;
  readonly is_open: boolean;
  readonly has_moved: boolean;
  readonly track: TrackName | null;
  readonly laps: number;
  readonly best_lap_s: number | null;
}

export interface Edit {
  readonly utc_us: number;
  readonly who: string;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
}

export interface SessionDetail extends SessionLine {
  readonly edits: readonly Edit[];
}

export interface Lap {
  readonly number: number;
  readonly utc_from_us: number;
  readonly time_s: number;
  readonly length_m: number;
  readonly is_whole: boolean;
  readonly sectors_s: readonly (number | null)[];
}

export interface Laps {
  readonly track: TrackName | null;
  readonly laps: readonly Lap[];
}

export type Change = Partial<Notes> & { readonly track?: string };

const at = (session: string): string => `/api/sessions/${encodeURIComponent(session)}`;

export const listSessions = (vehicle: string): Promise<SessionLine[]> => getJson(`/api/vehicles/${encodeURIComponent(vehicle)}/sessions`);

export const getSession = (session: string): Promise<SessionDetail> => getJson(at(session));

export const getLaps = (session: string): Promise<Laps> => getJson(`${at(session)}/laps`);

export const listTracks = (): Promise<Track[]> => getJson("/api/tracks");

/** Makes a track of these lines (start/finish first), or changes the one of this id. */
export function saveTrack(id: string | null, name: string, lines: readonly Line[]): Promise<unknown> {
  const body = { name, lines };
  return id === null ? sendJson("POST", "/api/tracks", body) : sendJson("PUT", `/api/tracks/${encodeURIComponent(id)}`, body);
}

export const removeTrack = (id: string): Promise<unknown> => sendJson("DELETE", `/api/tracks/${encodeURIComponent(id)}`);

interface Column {
  readonly t_us: readonly number[];
  readonly last: readonly (number | null)[];
}

/** Where the vehicle was, thinned to a drawing. */
export async function getPositions(session: string, map: MapNames): Promise<Place[]> {
  const query = new URLSearchParams([["channel", map.latitude], ["channel", map.longitude], ["points", "3000"]]);
  const told = await getJson<{ channels: Record<string, Column> }>(`${at(session)}/series?${query.toString()}`);
  return positionsOf(told.channels[map.latitude], told.channels[map.longitude]).map(({ latitude, longitude }) => [latitude, longitude]);
}

export const editSession = (session: string, change: Change): Promise<unknown> => sendJson("PATCH", at(session), change);

export const splitSession = (session: string, utcUs: number): Promise<unknown> => sendJson("POST", `${at(session)}/split`, { utc_us: utcUs });

export const mergeSessions = (session: string, other: string): Promise<unknown> => sendJson("POST", `${at(session)}/merge`, { session: other });

export const EXPORTS = ["csv", "parquet", "mat", "motec", "mcap", "candump", "blf", "mf4"] as const;

/** Where a file of the session, or of one lap of it, comes from. */
/** What of the session lies in view: its channels as a table. */
export function windowUrl(session: string, channels: readonly string[], rateHz: number, fromUs: number, toUs: number): string {
  const query = new URLSearchParams({ format: "csv", rate_hz: String(rateHz), within_us: `${Math.floor(fromUs)}-${Math.ceil(toUs)}` });
  for (const channel of channels) query.append("channel", channel);
  return `${at(session)}/export?${query.toString()}`;
}

export function exportUrl(session: string, format: string, lap: number | null): string {
  const query = new URLSearchParams({ format });
  if (lap !== null) query.set("lap", String(lap));
  return `${at(session)}/export?${query.toString()}`;
}
