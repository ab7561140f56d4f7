import type { User, VehicleInfo, VehicleSummary } from "./messages";

/** The server answered, and says that nobody is signed in. */
export class SignedOutError extends Error {
  override readonly name = "SignedOutError";
}

/** The server could not be reached, or gave an answer that is none. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

async function request(path: string, method: "GET" | "POST" = "GET"): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { method, credentials: "same-origin", cache: "no-store" });
  } catch (cause) {
    throw new UnreachableError(path, { cause });
  }
  if (response.status === 401 || response.status === 403) throw new SignedOutError(path);
  if (!response.ok) throw new UnreachableError(`${path}: ${response.status}`);
  return response;
}

export const getMe = async (): Promise<User> => (await request("/api/me")).json() as Promise<User>;

export const getVehicles = async (): Promise<VehicleSummary[]> =>
  (await request("/api/vehicles")).json() as Promise<VehicleSummary[]>;

export const getVehicle = async (name: string): Promise<VehicleInfo> =>
  (await request(`/api/vehicles/${encodeURIComponent(name)}`)).json() as Promise<VehicleInfo>;

export async function signOut(): Promise<void> {
  await request("/api/signout", "POST");
}
