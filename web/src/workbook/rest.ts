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

export const listWorkbooks = (vehicle: string): Promise<WorkbookLine[]> => getJson(`/api/workbooks?vehicle=${encodeURIComponent(vehicle)}`);

/** `content` is unchecked JSON. */
export const getWorkbook = (id: string): Promise<WorkbookLine & { readonly content: unknown }> => getJson(`/api/workbooks/${encodeURIComponent(id)}`);

export async function createWorkbook(draft: WorkbookDraft): Promise<string> {
  const made = await sendJson<{ id: string }>("POST", "/api/workbooks", draft);
  return made!.id;
}

export const saveWorkbook = (id: string, draft: WorkbookDraft): Promise<unknown> => sendJson("PUT", `/api/workbooks/${encodeURIComponent(id)}`, draft);

export const deleteWorkbook = (id: string): Promise<unknown> => sendJson("DELETE", `/api/workbooks/${encodeURIComponent(id)}`);
