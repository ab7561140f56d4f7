import { sectionOf } from "../extend/sections";
import { readLapView, writeLapView, type LapView } from "../laps/lapView";
import type { TimeRange } from "../time/timeRange";

/** What one person sees of a vehicle, besides the workbook itself: in the address, so that a link shows the same. */
export interface View {
  readonly rateHz: number;
  readonly windowS: number;
}

/** The address of the page. */
export interface Address {
  readonly vehicle: string | null;
  readonly section: string;
  /** Preset or id of a saved workbook; null: the one that was open last. */
  readonly workbook: string | null;
  readonly sheet: string | null;
  readonly view: Partial<View>;
  /** The time in view when paused. */
  readonly range: TimeRange | null;
  readonly laps: LapView;
  readonly isKiosk: boolean;
}

export const RATES_HZ = [1, 2, 5, 10, 20, 50, 100] as const;
export const WINDOWS_S = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200] as const;
export const MAX_CHANNELS = 200;
export const MAX_WINDOW_S = 86400;

export const DEFAULT_VIEW: View = { rateHz: 20, windowS: 60 };

const storageKey = (vehicle: string): string => `ved.view.${vehicle}`;

export function readAddress(search: string): Address {
  const query = new URLSearchParams(search);
  const rateHz = inRange(query.get("rate"), 1, 100);
  const windowS = inRange(query.get("window"), 1, MAX_WINDOW_S);
  const fromMs = inRange(query.get("from"), 0, 8e15);
  const toMs = inRange(query.get("to"), 0, 8e15);
  return {
    vehicle: query.get("vehicle"),
    section: sectionOf(query.get("section")),
    workbook: query.get("workbook"),
    sheet: query.get("sheet"),
    view: { ...(rateHz === null ? {} : { rateHz }), ...(windowS === null ? {} : { windowS }) },
    range: fromMs !== null && toMs !== null && toMs > fromMs ? { fromUs: fromMs * 1000, toUs: toMs * 1000 } : null,
    laps: readLapView(query),
    isKiosk: query.get("kiosk") === "1",
  };
}

/** The query that shows the same on another screen. */
export function writeAddress(address: Omit<Address, "vehicle" | "view"> & { readonly vehicle: string; readonly view: View }): string {
  const query = new URLSearchParams({ vehicle: address.vehicle });
  if (address.section !== sectionOf(null)) query.set("section", address.section);
  if (address.workbook !== null && address.workbook !== "default") query.set("workbook", address.workbook);
  if (address.sheet !== null) query.set("sheet", address.sheet);
  query.set("rate", String(address.view.rateHz));
  query.set("window", String(address.view.windowS));
  if (address.range !== null) {
    query.set("from", String(Math.floor(address.range.fromUs / 1000)));
    query.set("to", String(Math.ceil(address.range.toUs / 1000)));
  }
  writeLapView(query, address.laps);
  if (address.isKiosk) query.set("kiosk", "1");
  return `?${query.toString()}`;
}

/** The address wins over what is stored, which wins over the defaults. */
export function loadView(vehicle: string, given: Partial<View>, storage: Pick<Storage, "getItem">): View {
  return { ...parseStored(storage.getItem(storageKey(vehicle))), ...given };
}

export function storeView(vehicle: string, view: View, storage: Pick<Storage, "setItem">): void {
  storage.setItem(storageKey(vehicle), JSON.stringify(view));
}

/** Bytes per second that so many channels cost at this rate: two bytes of time and two values more where there are extremes. */
export function costOf(channels: number, rateHz: number): number {
  const entry = 4 + 4;
  const perMessage = 32 + 12 * channels;
  return channels === 0 ? 0 : channels * rateHz * entry + Math.min(rateHz, 10) * perMessage;
}

function parseStored(text: string | null): View {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "null");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return DEFAULT_VIEW;
  }
  if (typeof value !== "object" || value === null) return DEFAULT_VIEW;
  const stored = value as Partial<Record<keyof View, unknown>>;
  return {
    rateHz: inRange(stored.rateHz, 1, 100) ?? DEFAULT_VIEW.rateHz,
    windowS: inRange(stored.windowS, 1, MAX_WINDOW_S) ?? DEFAULT_VIEW.windowS,
  };
}

function inRange(value: unknown, low: number, high: number): number | null {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && number >= low && number <= high ? number : null;
}
