import { getJson } from "../protocol/rest";

export interface SessionLine {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly utc_from_us: number;
  readonly utc_to_us: number;
  readonly duration_s: number;
  readonly is_open: boolean;
  readonly laps: number;
  readonly best_lap_s: number | null;
  readonly setup: string;
  readonly notes: string;
}

export interface Lap {
  readonly number: number;
  readonly utc_from_us: number;
  readonly utc_to_us: number;
  readonly time_s: number;
  readonly length_m: number;
  readonly is_whole: boolean;
  readonly sectors_s: readonly (number | null)[];
}

/** Min, max and last of each bucket; null where it is no number. */
export interface Series {
  readonly name: string;
  readonly unit: string;
  readonly t_us: readonly number[];
  readonly last: readonly (number | null)[];
}

export const getSessions = (vehicle: string): Promise<SessionLine[]> => getJson(`/api/vehicles/${encodeURIComponent(vehicle)}/sessions`);

export const getSession = (session: string): Promise<SessionLine> => getJson(`/api/sessions/${encodeURIComponent(session)}`);

export async function getLaps(session: string): Promise<readonly Lap[]> {
  return (await getJson<{ laps: readonly Lap[] }>(`/api/sessions/${encodeURIComponent(session)}/laps`)).laps;
}

/** The names of the channels that a session has. */
export async function getChannelNames(session: string): Promise<readonly string[]> {
  return (await getJson<{ name: string }[]>(`/api/sessions/${encodeURIComponent(session)}/channels`)).map((channel) => channel.name);
}

/** Channels of a lap, by the names that were asked for. */
export async function getSeries(session: string, channels: readonly string[], lap: Lap, points: number): Promise<ReadonlyMap<string, Series>> {
  const query = new URLSearchParams(channels.map((name) => ["channel", name]));
  query.set("from_us", String(lap.utc_from_us));
  query.set("to_us", String(lap.utc_to_us));
  query.set("points", String(points));
  const told = await getJson<{ channels: Record<string, Series> }>(`/api/sessions/${encodeURIComponent(session)}/series?${query}`);
  return new Map(Object.entries(told.channels));
}
