import type { Marker, Severity } from "../time/markers.svelte";

export type { Severity } from "../time/markers.svelte";

/** An alarm as the server tells it (docs/spec/alarms.md). Times are UTC in µs, null where they have not come. */
export interface Alarm {
  readonly id: string;
  readonly vehicle: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly title_en: string;
  readonly title_fr: string;
  readonly channel: string;
  readonly unit: string;
  readonly is_active: boolean;
  readonly is_open: boolean;
  readonly is_late: boolean;
  readonly is_latched: boolean;
  readonly utc_raised_us: number;
  readonly utc_cleared_us: number | null;
  readonly utc_acked_us: number | null;
  readonly acked_by: string;
  readonly shelved_until_utc_us: number | null;
  readonly value: number | null;
  readonly worst: number | null;
  readonly detail: string;
}

export const SEVERITIES: readonly Severity[] = ["info", "warning", "critical"];
const RANK: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };
export const MAX_KEPT = 500;

export function isShelved(alarm: Alarm, nowUs: number): boolean {
  return alarm.shelved_until_utc_us !== null && alarm.shelved_until_utc_us > nowUs;
}

/** True while it asks for sound and a flashing title: critical, going on now, and nobody has said that they know. */
export function isLoud(alarm: Alarm, nowUs: number): boolean {
  return alarm.severity === "critical" && alarm.is_open && !alarm.is_late && alarm.utc_acked_us === null && !isShelved(alarm, nowUs);
}

/** The worst first, then the newest. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return RANK[b.severity] - RANK[a.severity] || b.utc_raised_us - a.utc_raised_us;
}

export function byTime(a: Alarm, b: Alarm): number {
  return b.utc_raised_us - a.utc_raised_us;
}

/** The worst severity among alarms, null without any. */
export function worstOf(alarms: readonly Alarm[]): Severity | null {
  let worst: Severity | null = null;
  for (const { severity } of alarms) if (worst === null || RANK[severity] > RANK[worst]) worst = severity;
  return worst;
}

/** Known alarms with newer news of some of them, at most MAX_KEPT: the oldest that are over go first. */
export function merged(known: ReadonlyMap<string, Alarm>, news: readonly Alarm[]): Map<string, Alarm> {
  const out = new Map(known);
  for (const alarm of news) out.set(alarm.id, alarm);
  if (out.size <= MAX_KEPT) return out;
  const over = [...out.values()].filter((alarm) => !alarm.is_open).sort(byTime);
  for (const alarm of over.slice(Math.max(0, over.length - (out.size - MAX_KEPT)))) out.delete(alarm.id);
  return out;
}

/** These alarms as they are known now: somebody may have acknowledged one since they were read. */
export function renewed(rows: readonly Alarm[], known: ReadonlyMap<string, Alarm>): Alarm[] {
  return rows.map((alarm) => known.get(alarm.id) ?? alarm);
}

/** What a list of alarms shows: the open ones with the worst first, and where it is asked for those that are over, the newest first. */
export function listed(known: Iterable<Alarm>, withOver: boolean): Alarm[] {
  const all = [...known];
  const open = all.filter((alarm) => alarm.is_open).sort(byUrgency);
  return withOver ? [...open, ...all.filter((alarm) => !alarm.is_open).sort(byTime)] : open;
}

/** Where an alarm stands on the time axis: a line where it began, for critical ones a band as long as it held. */
export function markerOf(alarm: Alarm, text: string, onSelect: () => void): Marker {
  const toUs = alarm.severity === "critical" ? alarm.utc_cleared_us : alarm.utc_raised_us;
  return { id: alarm.id, kind: "alarm", fromUs: alarm.utc_raised_us, toUs, text, severity: alarm.severity, onSelect };
}

/** True when `value` looks like an alarm: what a newer server may send otherwise is left alone. */
export function isAlarm(value: unknown): value is Alarm {
  if (typeof value !== "object" || value === null) return false;
  const { id, severity, utc_raised_us } = value as Partial<Alarm>;
  return typeof id === "string" && SEVERITIES.includes(severity as Severity) && typeof utc_raised_us === "number";
}
