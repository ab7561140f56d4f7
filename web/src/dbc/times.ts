import { w } from "./words";

/** 2026-05-01 14:30:05 (UTC); seconds only where there are any. */
export function moment(utcUs: number): string {
  const text = new Date(utcUs / 1000).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, text.slice(17, 19) === "00" ? 16 : 19)}`;
}

/** With milliseconds. */
export const exact = (utcUs: number): string => new Date(Math.floor(utcUs / 1000)).toISOString().slice(0, 23).replace("T", " ");

export function validity(fromUs: number | null, toUs: number | null): string {
  if (fromUs === null && toUs === null) return w("always");
  if (toUs === null) return w("from", { a: moment(fromUs!) });
  return fromUs === null ? w("until", { b: moment(toUs) }) : w("between", { a: moment(fromUs), b: moment(toUs) });
}

/** What a datetime-local field says, taken as UTC; null when it is empty. */
export const fieldUs = (text: string): number | null => (text === "" ? null : Date.parse(`${text}Z`) * 1000);
