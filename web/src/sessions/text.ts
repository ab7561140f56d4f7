import type { Edit, SessionLine } from "./rest";

/** 2026-05-01 14:30 (UTC). */
export const moment = (utcUs: number): string => new Date(utcUs / 1000).toISOString().slice(0, 16).replace("T", " ");

/** Does a session have all words of `search` in its name, driver, track, tags or date? */
export function fits(session: SessionLine, search: string): boolean {
  const text = [session.name, session.driver, session.track?.name ?? "", ...session.tags, moment(session.utc_from_us)].join(" ").toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Tags as a person writes them: separated by commas. */
export const tagsOf = (text: string): string[] => [...new Set(text.split(",").map((tag) => tag.trim()))].filter((tag) => tag !== "");

/** What became of which field: [field, after]. */
export function changesOf(edit: Edit): [string, string][] {
  const shown = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : String(value ?? ""));
  return Object.entries(edit.after ?? {})
    .filter(([field, value]) => shown(edit.before?.[field]) !== shown(value))
    .map(([field, value]) => [field, shown(value)]);
}
