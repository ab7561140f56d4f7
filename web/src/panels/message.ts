import type { Telemetry } from "../app/telemetry.svelte";
import { t } from "../i18n/i18n.svelte";

/** The message of a channel, where its signal's name alone stands for it: a title of the vehicle says it all. */
export function messageOf(telemetry: Telemetry, name: string): string {
  const info = telemetry.channel(name);
  if (info === undefined || telemetry.unknownChannels.includes(name)) return t("chart.unknown");
  return telemetry.label(name) === info.signal ? name.slice(0, Math.max(0, name.length - info.signal.length - 1)) : "";
}
