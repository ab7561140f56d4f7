import { durationText } from "../i18n/duration";
import { i18n, t } from "../i18n/i18n.svelte";
import { formatNumber } from "../plot/format";

interface Told {
  readonly channel: string;
  readonly unit?: string;
  readonly value: number | null;
  readonly worst: number | null;
  readonly detail?: string;
  readonly utc_raised_us: number;
  readonly utc_cleared_us: number | null;
}

const DIGITS = 5;

/** A number with as many decimals as it has, at most five digits. */
export function numberText(value: number): string {
  const decimals = /\.(\d+)$/.exec(String(Number(value.toPrecision(DIGITS))))?.[1]?.length ?? 0;
  return formatNumber(value, decimals, i18n.language);
}

/** The channel and its value; the worst beside it where it is another. Of an incident, what the server says. */
export function valueText(alarm: Told): string {
  if (alarm.detail) return alarm.detail;
  if (alarm.value === null) return alarm.channel;
  const unit = alarm.unit ? ` ${alarm.unit}` : "";
  const worst = alarm.worst !== null && alarm.worst !== alarm.value ? ` (${t("alarms.worst", { value: `${numberText(alarm.worst)}${unit}` })})` : "";
  return `${alarm.channel}: ${numberText(alarm.value)}${unit}${worst}`;
}

/** How long it has held. */
export function heldText(alarm: Told, nowUs: number): string {
  return durationText(Math.max(0, (alarm.utc_cleared_us ?? nowUs) - alarm.utc_raised_us) / 1000);
}
