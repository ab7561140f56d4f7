import { i18n, t } from "../i18n/i18n.svelte";
import { STATES, type Bucket } from "./ledger";

const numberText = (value: number): string => value.toLocaleString(i18n.language === "fr" ? "fr-FR" : "en-GB");

/** What a bucket holds, in words: one line for each state that it has. */
export function linesOf(bucket: Bucket): string[] {
  const lines = STATES.filter((state) => state !== "lost" && bucket[state] > 0).map((state) => `${t(`ledger.${state}`)}: ${numberText(bucket[state])}`);
  for (const [place, frames] of bucket.places) {
    const count = frames === null ? t("ledger.uncounted") : numberText(frames);
    lines.push(`${t("ledger.lost")} (${t(`ledger.place.${place}`)}): ${count}`);
  }
  return lines.length > 0 ? lines : [t("ledger.nothing")];
}
