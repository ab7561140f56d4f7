import { t } from "../i18n/i18n.svelte";
import type { Guard, Rule } from "./rule";
import { numberText } from "./text";

const seconds = (ms: number): string => t("time.s", { n: numberText(ms / 1000) });

/** A rule in one line that a person can read. */
export function ruleText(rule: Rule): string {
  const parts = [conditionText(rule)];
  if (rule.guard !== undefined) parts.push(t("rules.text.guard", { guard: guardText(rule.guard) }));
  if (rule.on_delay_ms) parts.push(t("rules.text.on_delay", { time: seconds(rule.on_delay_ms) }));
  if (rule.latch) parts.push(t("rules.text.latch"));
  return parts.join(" · ");
}

function conditionText(rule: Rule): string {
  const channel = rule.channel ?? "";
  switch (rule.kind) {
    case "above":
      return `${channel} > ${numberText(rule.limit ?? NaN)}`;
    case "below":
      return `${channel} < ${numberText(rule.limit ?? NaN)}`;
    case "outside":
      return t("rules.text.outside", { channel, low: numberText(rule.low ?? NaN), high: numberText(rule.high ?? NaN) });
    case "rate":
      return t("rules.text.rate", { channel, limit: numberText(rule.limit ?? NaN) });
    case "equals":
      return `${channel} = ${rule.values?.map(numberText).join(" | ") ?? ""}`;
    case "bits":
      return t("rules.text.bits", { channel, mask: `0x${(rule.mask ?? 0).toString(16).toUpperCase()}` });
    case "no_data":
      return t("rules.text.no_data", { channel: channel || t("rules.text.car"), time: seconds(rule.for_ms ?? 0) });
    case "not_plausible":
      return rule.frozen_ms ? t("rules.text.frozen", { channel, time: seconds(rule.frozen_ms) }) : t("rules.text.not_plausible", { channel });
    case "expression":
      return rule.expression ?? "";
  }
}

function guardText(guard: Guard): string {
  if (guard.below !== undefined) return `${guard.channel} < ${numberText(guard.below)}`;
  if (guard.equals !== undefined) return `${guard.channel} = ${numberText(guard.equals)}`;
  return `${guard.channel} > ${numberText(guard.above ?? NaN)}`;
}
