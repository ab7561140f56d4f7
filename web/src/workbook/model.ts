import type { VehicleInfo } from "../protocol/messages";
import { panelOf, type Settings } from "../extend/panels";

/** Sheets of panels, as saved and exported: plain JSON. */

export interface Titled {
  readonly title_en: string;
  readonly title_fr: string;
}

/** A panel and its place on a grid of 12 columns. */
export interface PanelSpec extends Titled {
  readonly id: string;
  readonly kind: string;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
  readonly settings: Settings;
}

export interface Sheet extends Titled {
  readonly id: string;
  readonly panels: readonly PanelSpec[];
}

export interface Workbook {
  readonly version: 1;
  readonly sheets: readonly Sheet[];
}

export type Place = Pick<PanelSpec, "x" | "y" | "w" | "h">;

export const COLUMNS = 12;
export const MAX_SHEETS = 30;
export const MAX_PANELS = 60;
const MAX_ROWS = 400;

export const EMPTY: Workbook = { version: 1, sheets: [{ id: "1", title_en: "", title_fr: "", panels: [] }] };

/** An id that the others do not have. */
export function freeId(taken: Iterable<{ readonly id: string }>): string {
  const ids = new Set([...taken].map((one) => one.id));
  let number = ids.size + 1;
  while (ids.has(String(number))) number++;
  return String(number);
}

/** The first place where a panel of this size fits, below what cannot be pushed aside. */
export function freePlace(panels: readonly PanelSpec[], w: number, h: number): Place {
  const bottom = Math.max(0, ...panels.map((panel) => panel.y + panel.h));
  for (let y = 0; y <= bottom; y++) {
    for (let x = 0; x + w <= COLUMNS; x++) {
      const place = { x, y, w, h };
      if (!panels.some((panel) => overlaps(panel, place))) return place;
    }
  }
  return { x: 0, y: bottom, w, h };
}

/** As they are read, and as they stand under each other on a phone. */
export function inOrder(panels: readonly PanelSpec[]): PanelSpec[] {
  return [...panels].sort((a, b) => a.y - b.y || a.x - b.x);
}

export function overlaps(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** All channels that a sheet shows. */
export function channelsOf(sheet: Sheet, vehicle: VehicleInfo | null): string[] {
  const names = new Set<string>();
  for (const panel of sheet.panels) {
    const definition = panelOf(panel.kind);
    if (definition === undefined) continue;
    for (const name of definition.channels(definition.read(panel.settings), vehicle)) if (name !== "") names.add(name);
  }
  return [...names];
}

/** A workbook from JSON that anybody may have written; throws an Error that names what is wrong. */
export function readWorkbook(value: unknown): Workbook {
  if (!isObject(value) || value["version"] !== 1 || !Array.isArray(value["sheets"])) throw new Error("no workbook of version 1");
  const sheets = value["sheets"].slice(0, MAX_SHEETS).map(readSheet);
  if (sheets.length === 0) throw new Error("no sheet");
  return { version: 1, sheets: withOwnIds(sheets) };
}

function readSheet(value: unknown): Sheet {
  if (!isObject(value) || !Array.isArray(value["panels"])) throw new Error("a sheet without panels");
  const panels = value["panels"].slice(0, MAX_PANELS).map(readPanel);
  return { id: text(value["id"], 40), ...titles(value), panels: withOwnIds(panels) };
}

function readPanel(value: unknown): PanelSpec {
  if (!isObject(value) || typeof value["kind"] !== "string") throw new Error("a panel without a kind");
  const w = whole(value["w"], 1, COLUMNS, 6);
  return {
    id: text(value["id"], 40),
    kind: value["kind"].slice(0, 40),
    ...titles(value),
    x: whole(value["x"], 0, COLUMNS - w, 0),
    y: whole(value["y"], 0, MAX_ROWS, 0),
    w,
    h: whole(value["h"], 1, MAX_ROWS, 6),
    settings: isObject(value["settings"]) ? value["settings"] : {},
  };
}

function withOwnIds<T extends { readonly id: string }>(items: readonly T[]): T[] {
  const seen: T[] = [];
  for (const item of items) {
    const isTaken = item.id === "" || seen.some((other) => other.id === item.id);
    seen.push(isTaken ? { ...item, id: freeId([...items, ...seen]) } : item);
  }
  return seen;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

const text = (value: unknown, most: number): string => (typeof value === "string" ? value.slice(0, most) : "");

const titles = (value: Record<string, unknown>): Titled => ({ title_en: text(value["title_en"], 200), title_fr: text(value["title_fr"], 200) });

function whole(value: unknown, least: number, most: number, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) ? Math.min(most, Math.max(least, Math.round(value))) : otherwise;
}
