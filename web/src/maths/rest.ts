import { getJson, sendJson } from "../protocol/rest";

/** The maths channels of a vehicle as the server tells them (docs/api.md). */

export interface MathsChannel {
  readonly name: string;
  readonly channel: string;
  readonly expression: string;
  readonly unit: string;
  readonly comment: string;
  readonly result: { readonly unit: string; readonly kind: string } | null;
  readonly error: { readonly message: string; readonly position: number; readonly reason: string } | null;
}

export interface MathsList {
  readonly channels: readonly MathsChannel[];
  readonly functions: readonly string[];
}

export interface Draft {
  readonly expression: string;
  readonly unit: string;
  readonly comment: string;
}

export interface Checked {
  readonly unit: string;
  readonly kind: string;
  readonly inputs: readonly string[];
  readonly needs_laps: boolean;
}

const path = (vehicle: string): string => `/api/vehicles/${encodeURIComponent(vehicle)}/maths`;

export const listMaths = (vehicle: string): Promise<MathsList> => getJson(path(vehicle));

export const checkMaths = (vehicle: string, name: string, draft: Draft): Promise<Checked> =>
  sendJson("POST", `${path(vehicle)}/check?${new URLSearchParams({ name }).toString()}`, draft) as Promise<Checked>;

export const putMaths = (vehicle: string, name: string, draft: Draft, isNew: boolean): Promise<unknown> =>
  sendJson("PUT", `${path(vehicle)}/${encodeURIComponent(name)}`, draft, isNew);

export const removeMaths = (vehicle: string, name: string): Promise<unknown> => sendJson("DELETE", `${path(vehicle)}/${encodeURIComponent(name)}`);

/** The position (from 1) that a refusal names in its text, in English or French; null where it names none. */
export function positionIn(message: string): number | null {
  const found = /^position (\d+)\s?: /.exec(message);
  return found === null ? null : Number(found[1]);
}
