import { i18n } from "../i18n/i18n.svelte";
import type { User, VehicleInfo, VehicleSummary } from "./messages";

/** The server answered, and says that nobody is signed in. */
export class SignedOutError extends Error {
  override readonly name = "SignedOutError";
}

/** The server could not be reached, or gave an answer that is none. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

/** The server understood, and says no: `code` and `message` are its own. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

async function request(path: string, method: Method = "GET", body?: unknown, isNew = false): Promise<Response> {
  // What the server says to people, it says in the page's language, which need not be the browser's.
  const headers: Record<string, string> = { "Accept-Language": i18n.language };
  if (isNew) headers["If-None-Match"] = "*";
  const init: RequestInit = { method, credentials: "same-origin", cache: "no-store", headers };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (cause) {
    throw new UnreachableError(path, { cause });
  }
  if (response.status === 401) throw new SignedOutError(path);
  if (response.status >= 400 && response.status < 500) throw await refusal(response);
  if (!response.ok) throw new UnreachableError(`${path}: ${response.status}`);
  return response;
}

interface Told {
  code?: string;
  message?: string;
}

interface Invalid {
  loc: readonly (string | number)[];
  msg: string;
}

/** The server's own words: `{"error": {"code", "message"}}`, or of a body that is not as it must be FastAPI's `detail`. */
async function refusal(response: Response): Promise<RefusedError> {
  let said: { error?: Told; detail?: readonly Invalid[] | string } = {};
  try {
    said = (await response.json()) as typeof said;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const told = said.error ?? (Array.isArray(said.detail) ? firstOf(said.detail as readonly Invalid[]) : null);
  return new RefusedError(response.status, told?.code ?? String(response.status), told?.message ?? response.statusText);
}

/** What is wrong first, and where: `name: …`. */
function firstOf(detail: readonly Invalid[]): Told | null {
  const first = detail[0];
  if (first === undefined) return null;
  const where = first.loc.slice(1).join(".");
  return { message: where === "" ? first.msg : `${where}${i18n.language === "fr" ? "\u00a0" : ""}: ${first.msg}` };
}

/** GET of a JSON resource. Throws SignedOutError, UnreachableError or RefusedError. */
export async function getJson<T>(path: string): Promise<T> {
  return (await request(path)).json() as Promise<T>;
}

/**
 * Sends JSON; gives back the JSON of the answer, undefined for an empty one. With `isNew` it is refused where there is one already.
 * Throws as `getJson`.
 */
export async function sendJson<T = unknown>(method: Exclude<Method, "GET">, path: string, body?: unknown, isNew = false): Promise<T | undefined> {
  const response = await request(path, method, body, isNew);
  return response.status === 204 ? undefined : ((await response.json()) as T);
}

export const getMe = (): Promise<User> => getJson("/api/me");

export const getVehicles = (): Promise<VehicleSummary[]> => getJson("/api/vehicles");

export const getVehicle = (name: string): Promise<VehicleInfo> => getJson(`/api/vehicles/${encodeURIComponent(name)}`);

export async function signOut(): Promise<void> {
  await sendJson("POST", "/api/signout");
}
