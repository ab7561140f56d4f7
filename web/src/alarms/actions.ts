import type { Telemetry } from "../app/telemetry.svelte";
import { says } from "../protocol/failure";
import type { Alarm } from "./alarm";
import { acknowledge, shelve } from "./rest";

const AROUND_US = 10e6;

/** Does it, and tells where that fails. */
export async function attempt(telemetry: Telemetry, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    telemetry.error = says(error);
    return false;
  }
}

export function acknowledgeAll(telemetry: Telemetry, alarms: readonly Alarm[]): Promise<boolean> {
  return attempt(telemetry, async () => {
    for (const alarm of alarms) await acknowledge(alarm.id);
  });
}

export function shelveRule(telemetry: Telemetry, alarm: Alarm, minutes: number): Promise<boolean> {
  return attempt(telemetry, () => shelve(alarm.vehicle, alarm.rule, minutes));
}

/** Opens the live view at the time of the alarm. */
export function showTime(telemetry: Telemetry, utcUs: number): void {
  telemetry.open("live");
  telemetry.visit({ fromUs: utcUs - AROUND_US, toUs: utcUs + AROUND_US });
}
