import { i18n, t } from "../i18n/i18n.svelte";

const local = (text: string): string => (i18n.language === "fr" ? text.replace(".", ",") : text);

/** A lap's time: minutes, seconds, thousandths. */
export function lapTime(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - minutes * 60).toFixed(3);
  return local(minutes > 0 ? `${minutes}:${rest.padStart(6, "0")}` : rest);
}

/** A difference of times, with its sign. */
export function gapTime(seconds: number): string {
  return local(`${seconds < 0 ? "\u2212" : "+"}${Math.abs(seconds).toFixed(3)}`);
}

/** "1 lap", "12 laps". */
export const lapsCount = (n: number): string => (n === 1 ? t("laps.one") : t("laps.count", { n }));
