import type { Severity } from "./alarm";

export const KINDS = ["above", "below", "outside", "rate", "equals", "bits", "no_data", "not_plausible", "expression"] as const;
export type Kind = (typeof KINDS)[number];

export interface Guard {
  readonly channel: string;
  readonly above?: number;
  readonly below?: number;
  readonly equals?: number;
}

/** A rule as the server keeps it: only what differs from the defaults stands in it (docs/spec/alarms.md). */
export interface Rule {
  readonly id: string;
  readonly kind: Kind;
  readonly title_en: string;
  readonly title_fr: string;
  readonly severity?: Severity;
  readonly channel?: string;
  readonly limit?: number;
  readonly low?: number;
  readonly high?: number;
  readonly hysteresis?: number;
  readonly values?: readonly number[];
  readonly mask?: number;
  readonly over_ms?: number;
  readonly for_ms?: number;
  readonly frozen_ms?: number;
  readonly expression?: string;
  readonly guard?: Guard;
  readonly on_delay_ms?: number;
  readonly off_delay_ms?: number;
  readonly latch?: boolean;
  readonly is_enabled?: boolean;
  readonly source?: string;
}

export interface ListedRule {
  readonly rule: Rule;
  /** Why it does not look, empty when it does. */
  readonly idle: string;
  readonly shelved_until_utc_us: number | null;
  readonly shelved_by: string;
}

export interface RuleChange {
  readonly utc_us: number;
  readonly who: string;
  readonly before: Rule | null;
  readonly after: Rule | null;
}

export interface Trial {
  readonly rule: Rule;
  readonly rest: Readonly<Record<string, number | null>>;
  readonly values: Readonly<Record<string, number | null>>;
  readonly hold_ms: number;
}

export interface TrialResult {
  readonly steps: readonly { readonly t_ms: number; readonly is_raised: boolean }[];
  readonly idle: string;
  readonly inputs: readonly string[];
  readonly end_ms: number;
}

/** The numbers that a kind of rule has, besides its channel. */
export const NUMBERS: Readonly<Record<Kind, readonly ("limit" | "low" | "high" | "hysteresis" | "mask" | "over_ms" | "for_ms" | "frozen_ms")[]>> = {
  above: ["limit", "hysteresis"],
  below: ["limit", "hysteresis"],
  outside: ["low", "high", "hysteresis"],
  rate: ["limit", "over_ms", "hysteresis"],
  equals: [],
  bits: ["mask"],
  no_data: ["for_ms"],
  not_plausible: ["frozen_ms"],
  expression: [],
};

/** What the form holds: texts, as typed. */
export interface Draft {
  id: string;
  kind: Kind;
  title_en: string;
  title_fr: string;
  severity: Severity;
  channel: string;
  numbers: Record<string, string>;
  values: string;
  expression: string;
  guardChannel: string;
  guardIs: "above" | "below" | "equals";
  guardValue: string;
  on_delay_ms: string;
  off_delay_ms: string;
  latch: boolean;
  is_enabled: boolean;
  source: string;
}

const DEFAULT_OFF_DELAY_MS = 500;
const text = (value: number | undefined): string => (value === undefined ? "" : String(value));

export function draftOf(rule: Rule | null): Draft {
  const guardIs = rule?.guard?.below !== undefined ? "below" : rule?.guard?.equals !== undefined ? "equals" : "above";
  const numbers: Record<string, string> = {};
  for (const key of ["limit", "low", "high", "hysteresis", "mask", "over_ms", "for_ms", "frozen_ms"] as const) numbers[key] = text(rule?.[key]);
  return {
    id: rule?.id ?? "",
    kind: rule?.kind ?? "above",
    title_en: rule?.title_en ?? "",
    title_fr: rule?.title_fr ?? "",
    severity: rule?.severity ?? "warning",
    channel: rule?.channel ?? "",
    numbers,
    values: rule?.values?.join(", ") ?? "",
    expression: rule?.expression ?? "",
    guardChannel: rule?.guard?.channel ?? "",
    guardIs,
    guardValue: text(rule?.guard?.[guardIs]),
    on_delay_ms: text(rule?.on_delay_ms ?? 0),
    off_delay_ms: text(rule?.off_delay_ms ?? DEFAULT_OFF_DELAY_MS),
    latch: rule?.latch ?? false,
    is_enabled: rule?.is_enabled ?? true,
    source: rule?.source ?? "",
  };
}

/** A number as people write it in either language; NaN for anything else. */
export function readNumber(written: string): number {
  const plain = written.trim().replace(",", ".").replace("\u2212", "-");
  return plain === "" ? NaN : Number(plain);
}

/** The rule of a form; the server checks it and says what is wrong. Empty numbers are left out. */
export function ruleOf(draft: Draft): Rule {
  const rule: Record<string, unknown> = {
    id: draft.id.trim() || idOf(draft.title_en || draft.title_fr),
    kind: draft.kind,
    title_en: draft.title_en.trim() || draft.title_fr.trim(),
    title_fr: draft.title_fr.trim() || draft.title_en.trim(),
    severity: draft.severity,
  };
  if (draft.kind === "expression") rule["expression"] = draft.expression.trim();
  else if (draft.channel.trim() !== "") rule["channel"] = draft.channel.trim();
  for (const key of NUMBERS[draft.kind]) {
    const written = draft.numbers[key] ?? "";
    if (written.trim() !== "") rule[key] = orText(written);
  }
  if (draft.kind === "equals") rule["values"] = draft.values.split(/[;\s]+|,\s+|,(?=\S*$)/).filter((one) => one !== "").map(orText);
  if (draft.guardChannel.trim() !== "") rule["guard"] = { channel: draft.guardChannel.trim(), [draft.guardIs]: orText(draft.guardValue) };
  for (const key of ["on_delay_ms", "off_delay_ms"] as const) if (draft[key].trim() !== "") rule[key] = orText(draft[key]);
  if (draft.latch) rule["latch"] = true;
  if (!draft.is_enabled) rule["is_enabled"] = false;
  if (draft.source.trim() !== "") rule["source"] = draft.source.trim();
  return rule as unknown as Rule;
}

/** What is no number goes to the server as it was written: it says what is wrong with it. */
function orText(written: string): number | string {
  const value = readNumber(written);
  return Number.isFinite(value) ? value : written;
}

/** An id that says the same as a title. */
export function idOf(title: string): string {
  const plain = title
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "");
  return plain.slice(0, 48).replace(/-+$/, "");
}
