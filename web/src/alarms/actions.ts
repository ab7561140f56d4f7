import type { Telemetry } from "../app/telemetry.svelte";
import { RefusedError, UnreachableError } from "../protocol/rest";
import type { Alarm } from "./alarm";
import { acknowledge, shelve } from "./rest";

const AROUND_US = 10e6;

/** Does it, and shows the server's own words where it says no. */
export async function attempt(telemetry: Telemetry, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof RefusedError || error instanceof UnreachableError)) throw error;
    telemetry.error = error.message;
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
