import type { Link } from "../protocol/messages";

export type Lamp = "live" | "stale" | "offline";

export const STALE_AFTER_MS = 1000;
/** Without news of the link, silence this long means that the car is gone. */
export const OFFLINE_AFTER_MS = 60_000;

/** The first glance: is telemetry alive? `ageMs` is null when no data was ever received. */
export function lampOf(isConnected: boolean, link: Link, ageMs: number | null): Lamp {
  if (!isConnected || ageMs === null) return "offline";
  if (ageMs < STALE_AFTER_MS) return "live";
  return link === "down" || (link === "unknown" && ageMs >= OFFLINE_AFTER_MS) ? "offline" : "stale";
}
