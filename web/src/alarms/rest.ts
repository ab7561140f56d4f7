import { getJson, sendJson } from "../protocol/rest";
import type { Alarm } from "./alarm";
import type { ListedRule, Rule, RuleChange, Trial, TrialResult } from "./rule";

/** A session with the number of its alarms. */
export interface AlarmSession {
  readonly id: string;
  readonly utc_from_us: number;
  readonly utc_to_us: number;
  readonly is_open: boolean;
  readonly alarms: number;
}

export interface CheckedAlarm {
  readonly rule: string;
  readonly severity: Alarm["severity"];
  readonly title_en: string;
  readonly title_fr: string;
  readonly channel: string;
  readonly utc_raised_us: number;
  readonly utc_cleared_us: number | null;
  readonly value: number | null;
  readonly worst: number | null;
}

export interface Check {
  readonly alarms: readonly CheckedAlarm[];
  readonly idle: Readonly<Record<string, string>>;
  readonly frames: number;
}

const of = (vehicle: string): string => `/api/vehicles/${encodeURIComponent(vehicle)}`;

export const getAlarms = (vehicle: string): Promise<Alarm[]> => getJson(`${of(vehicle)}/alarms?limit=200`);
export const getOpenAlarms = (vehicle: string): Promise<Alarm[]> => getJson(`${of(vehicle)}/alarms/open`);
export const getAlarmsBetween = (vehicle: string, fromUs: number, toUs: number): Promise<Alarm[]> =>
  getJson(`${of(vehicle)}/alarms?limit=1000&from_utc_us=${Math.max(0, Math.floor(fromUs))}&to_utc_us=${Math.ceil(toUs)}`);
export const getAlarmSessions = (vehicle: string): Promise<AlarmSession[]> => getJson(`${of(vehicle)}/alarms/sessions`);
export const checkSession = (session: string): Promise<Check> => getJson(`/api/sessions/${encodeURIComponent(session)}/alarms/check`);

export async function acknowledge(alarm: string): Promise<void> {
  await sendJson("POST", `/api/alarms/${encodeURIComponent(alarm)}/acknowledge`);
}

/** Nobody wants to hear of the rule for so long; 0: from now on again. */
export async function shelve(vehicle: string, rule: string, minutes: number): Promise<void> {
  await sendJson("POST", `${of(vehicle)}/rules/${encodeURIComponent(rule)}/shelve`, { minutes });
}

export const getRules = (vehicle: string): Promise<ListedRule[]> => getJson(`${of(vehicle)}/rules`);
export const getChanges = (vehicle: string, rule: string): Promise<RuleChange[]> => getJson(`${of(vehicle)}/rules/${encodeURIComponent(rule)}/changes`);

export async function putRule(vehicle: string, rule: Rule, isNew: boolean): Promise<void> {
  const { id, ...values } = rule;
  await sendJson("PUT", `${of(vehicle)}/rules/${encodeURIComponent(id)}`, values, isNew);
}

export async function removeRule(vehicle: string, rule: string): Promise<void> {
  await sendJson("DELETE", `${of(vehicle)}/rules/${encodeURIComponent(rule)}`);
}

export async function tryRule(vehicle: string, trial: Trial): Promise<TrialResult> {
  return (await sendJson<TrialResult>("POST", `${of(vehicle)}/rules/try`, trial))!;
}
