import { splitDuration } from "../plot/format";
import { i18n, t } from "./i18n.svelte";

/** A duration with its unit in the current language. */
export function durationText(ms: number): string {
  const { value, unit } = splitDuration(ms);
  return t(`time.${unit}`, { n: i18n.language === "fr" ? value.replace(".", ",") : value });
}
