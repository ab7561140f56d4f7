import { formatDate, formatTime } from "../plot/format";
import type { Edit, Notes, SessionLine } from "./rest";

/** 2026-05-01 14:30, local. */
export const moment = (utcUs: number): string => `${formatDate(utcUs)} ${formatTime(utcUs).slice(0, 5)}`;

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

/** What a person writes about a session, as the fields show it. */
export interface Written {
  readonly name: string;
  readonly driver: string;
  readonly setup: string;
  readonly notes: string;
  readonly tags: string;
}

export const writtenOf = ({ name, driver, setup, notes, tags }: Notes): Written => ({ name, driver, setup, notes, tags: tags.join(", ") });

/** The fields that are others than `before`: what somebody else wrote meanwhile stays. */
export function changeOf(before: Written, now: Written): Partial<Notes> {
  const change: Partial<Notes> = { name: now.name.trim(), driver: now.driver.trim(), setup: now.setup, notes: now.notes, tags: tagsOf(now.tags) };
  return Object.fromEntries(Object.entries(change).filter(([field]) => before[field as keyof Written] !== now[field as keyof Written]));
}

/** What a datetime-local field shows, to the second. */
export const fieldOf = (utcUs: number): string => `${formatDate(utcUs)}T${formatTime(utcUs)}`;

/** What became of which field: [field, after]. */
export function changesOf(edit: Edit): [string, string][] {
  const shown = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : String(value ?? ""));
  return Object.entries(edit.after ?? {})
    .filter(([field, value]) => shown(edit.before?.[field]) !== shown(value))
    .map(([field, value]) => [field, shown(value)]);
}
