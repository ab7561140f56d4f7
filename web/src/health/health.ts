import { getJson, sendJson } from "../protocol/rest";

export interface RoleHealth {
  readonly role: string;
  readonly age_ms: number;
  readonly figures: Readonly<Record<string, number>>;
}

export interface VehicleHealth {
  readonly vehicle: string;
  readonly age_ms: number;
  readonly heard_ms: number;
  /** By channel: `health.link.rtt`, `health.bus.powertrain.load`. */
  readonly figures: Readonly<Record<string, number>>;
}

export interface HealthNow {
  readonly roles: readonly RoleHealth[];
  readonly vehicles: readonly VehicleHealth[];
}

export interface Notification {
  readonly id: number;
  readonly utc_us: number;
  readonly target: string;
  readonly title: string;
  readonly state: "waiting" | "sent" | "failed";
  readonly attempts: number;
  readonly next_utc_us: number;
  readonly error: string;
}

export interface Notifications {
  readonly targets: readonly string[];
  readonly newest: readonly Notification[];
}

export const getHealth = (): Promise<HealthNow> => getJson("/api/health");
export const getNotifications = (): Promise<Notifications> => getJson("/api/notifications");
export const sendTest = (): Promise<unknown> => sendJson("POST", "/api/notifications/test");

/** A role writes its figures every second: one that is older hangs, or does not run. */
const SILENT_MS = 5000;
export const isSilent = (role: RoleHealth): boolean => role.age_ms > SILENT_MS;

/** Time since the newest live frame: as it was measured, or since then when nobody measures any more. */
export function ageOf(vehicle: VehicleHealth): number {
  return vehicle.age_ms > SILENT_MS ? vehicle.heard_ms : (vehicle.figures["health.link.age"] ?? vehicle.heard_ms);
}

export const LINK_FIGURES = ["age", "rtt", "frames", "loss", "backlog", "backfill"] as const;
export const BUS_FIGURES = ["load", "frames", "errors", "unknown", "drops"] as const;
const ROLE_FIGURES = ["lag", "queue", "forward", "cpu", "memory", "disk", "delay"] as const;

/** What to show of roles: how far Kafka is behind only where there is one. */
export const roleFigures = (roles: readonly RoleHealth[]): (typeof ROLE_FIGURES)[number][] =>
  ROLE_FIGURES.filter((name) => name !== "forward" || roles.some((role) => name in role.figures));

export interface BusHealth {
  readonly bus: string;
  readonly figures: Readonly<Record<string, number>>;
}

/** The figures of each bus, in the order in which they came. */
export function busesOf(vehicle: VehicleHealth): BusHealth[] {
  const buses = new Map<string, Record<string, number>>();
  for (const [channel, value] of Object.entries(vehicle.figures)) {
    const [, scope, bus, figure] = channel.split(".");
    if (scope !== "bus" || bus === undefined || figure === undefined) continue;
    const known = buses.get(bus) ?? {};
    known[figure] = value;
    buses.set(bus, known);
  }
  return [...buses].map(([bus, figures]) => ({ bus, figures })).sort((a, b) => (a.bus < b.bus ? -1 : 1));
}

/** Whole numbers where they are large, one decimal where they are small. */
export function figureText(value: number | undefined, language: string): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  const decimals = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : 1;
  return value.toLocaleString(language === "fr" ? "fr-FR" : "en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
