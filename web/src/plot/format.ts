import type { Choice } from "../protocol/messages";

const MINUS = "\u2212";
const MAX_DECIMALS = 6;

/** Decimals that write the whole of `span` with `digits` digits or a few more. */
export function decimalsFor(span: number, digits = 3): number {
  if (!(span > 0) || !Number.isFinite(span)) return 1;
  return Math.min(MAX_DECIMALS, Math.max(0, digits - 1 - Math.floor(Math.log10(span))));
}

/** Decimals that write a step exactly. */
export function decimalsOfStep(step: number): number {
  for (let decimals = 0; decimals < 9; decimals++) {
    const scaled = step * 10 ** decimals;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6 * scaled) return decimals;
  }
  return 9;
}

/** A number with fixed decimals in the language's notation; exponents where it would not fit. */
export function formatNumber(value: number, decimals: number, language: string): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  let text = size >= 1e9 || (size > 0 && size < 1e-6) ? value.toExponential(3) : value.toFixed(decimals);
  if (Number(text) === 0) text = text.replace("-", "");
  text = text.replace("-", MINUS);
  return language === "fr" ? text.replace(".", ",") : text;
}

/** The text of a value table, else the number. */
export function formatChoice(value: number, choices: readonly Choice[]): string | null {
  for (const [number, text] of choices) if (number === value) return text;
  return null;
}

const pad = (value: number, width: number): string => String(value).padStart(width, "0");

/** Local time of day; `decimals` of the second. */
export function formatTime(us: number, decimals: 0 | 1 | 2 | 3 = 0): string {
  if (!Number.isFinite(us)) return "--:--:--";
  const date = new Date(Math.floor(us / 1000));
  const whole = `${pad(date.getHours(), 2)}:${pad(date.getMinutes(), 2)}:${pad(date.getSeconds(), 2)}`;
  return decimals === 0 ? whole : `${whole}.${pad(date.getMilliseconds(), 3).slice(0, decimals)}`;
}

/** Local date as in ISO 8601. */
export function formatDate(us: number): string {
  if (!Number.isFinite(us)) return "";
  const date = new Date(us / 1000);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1, 2)}-${pad(date.getDate(), 2)}`;
}

export type DurationUnit = "s" | "min" | "h" | "d";

/** A duration in the unit that a person would use. */
export function splitDuration(ms: number): { readonly value: string; readonly unit: DurationUnit } {
  if (ms < 9950) return { value: (Math.max(0, ms) / 1000).toFixed(1), unit: "s" };
  if (ms < 120_000) return { value: String(Math.floor(ms / 1000)), unit: "s" };
  if (ms < 7_200_000) return { value: String(Math.floor(ms / 60_000)), unit: "min" };
  if (ms < 172_800_000) return { value: String(Math.floor(ms / 3_600_000)), unit: "h" };
  return { value: String(Math.floor(ms / 86_400_000)), unit: "d" };
}
