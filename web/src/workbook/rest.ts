import { getJson, sendJson } from "../protocol/rest";
import type { Workbook } from "./model";

/** A saved workbook as the server lists it. */
export interface WorkbookLine {
  readonly id: string;
  readonly vehicle: string;
  readonly name: string;
  readonly owner_name: string;
  readonly is_mine: boolean;
  readonly is_shared: boolean;
  readonly changed_utc_us: number;
}

export interface WorkbookDraft {
  readonly vehicle: string;
  readonly name: string;
  readonly is_shared: boolean;
  readonly content: Workbook;
}

const at = (id: string): string => `/api/workbooks/${encodeURIComponent(id)}`;

export const listWorkbooks = (vehicle: string): Promise<WorkbookLine[]> => getJson(`/api/workbooks?vehicle=${encodeURIComponent(vehicle)}`);

/** `content` is unchecked JSON. */
export const getWorkbook = (id: string): Promise<WorkbookLine & { readonly content: unknown }> => getJson(at(id));

/** What the server calls it, and its `changed_utc_us`. */
export async function createWorkbook(draft: WorkbookDraft): Promise<{ readonly id: string; readonly changed_utc_us: number }> {
  return (await sendJson<{ id: string; changed_utc_us: number }>("POST", "/api/workbooks", draft))!;
}

/** Replaces the copy of the time `replacesUtcUs`, no other (409 `workbook_changed`); gives the new one's time. */
export async function saveWorkbook(id: string, draft: WorkbookDraft, replacesUtcUs: number): Promise<number> {
  const told = await sendJson<{ changed_utc_us: number }>("PUT", at(id), { ...draft, replaces_utc_us: replacesUtcUs });
  return told!.changed_utc_us;
}

/** The same from a page that goes away: nobody waits for the answer. */
export function saveOnLeaving(id: string, draft: WorkbookDraft, replacesUtcUs: number): void {
  const body = JSON.stringify({ ...draft, replaces_utc_us: replacesUtcUs });
  fetch(at(id), { method: "PUT", keepalive: true, credentials: "same-origin", headers: { "Content-Type": "application/json" }, body }).catch(() => undefined);
}

export const deleteWorkbook = (id: string): Promise<unknown> => sendJson("DELETE", at(id));
