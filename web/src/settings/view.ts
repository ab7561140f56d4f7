/** What one person chose to see of one vehicle: kept in localStorage, carried by the address of the page. */

export interface ChartSpec {
  readonly title_en: string;
  readonly title_fr: string;
  readonly channels: readonly string[];
}

export interface View {
  readonly rateHz: number;
  readonly windowS: number;
  /** null: the charts of the vehicle. */
  readonly charts: readonly ChartSpec[] | null;
  readonly hasMap: boolean;
}

export const RATES_HZ = [1, 2, 5, 10, 20, 50, 100] as const;
export const WINDOWS_S = [5, 10, 30, 60, 120, 300, 600, 1800] as const;
export const MAX_CHANNELS = 200;
const MAX_WINDOW_S = 86400;

export const DEFAULT_VIEW: View = { rateHz: 20, windowS: 60, charts: null, hasMap: true };

const storageKey = (vehicle: string): string => `ved.view.${vehicle}`;

/** The address wins over what is stored, which wins over the defaults. */
export function loadView(vehicle: string, search: string, storage: Pick<Storage, "getItem">): View {
  const stored = parseStored(storage.getItem(storageKey(vehicle)));
  const query = new URLSearchParams(search);
  if (query.has("vehicle") && query.get("vehicle") !== vehicle) return stored;
  return {
    rateHz: rateOr(query.get("rate"), stored.rateHz),
    windowS: windowOr(query.get("window"), stored.windowS),
    charts: query.has("chart") ? query.getAll("chart").map(parseChart) : stored.charts,
    hasMap: query.has("map") ? query.get("map") !== "0" : stored.hasMap,
  };
}

export function storeView(vehicle: string, view: View, storage: Pick<Storage, "setItem">): void {
  storage.setItem(storageKey(vehicle), JSON.stringify(view));
}

/** The query that shows the same view on another screen. */
export function viewQuery(vehicle: string, view: View, section = "live"): string {
  const query = new URLSearchParams({ vehicle, rate: String(view.rateHz), window: String(view.windowS) });
  if (section !== "live") query.set("section", section);
  if (!view.hasMap) query.set("map", "0");
  for (const chart of view.charts ?? []) query.append("chart", formatChart(chart));
  return `?${query.toString()}`;
}

export function vehicleOfQuery(search: string): string | null {
  return new URLSearchParams(search).get("vehicle");
}

/** Title and channels separated by commas; a comma or backslash of a name is escaped with a backslash. */
function formatChart(chart: ChartSpec): string {
  const title = chart.title_en === chart.title_fr ? [chart.title_en] : [chart.title_en, chart.title_fr];
  const escape = (text: string): string => text.replace(/[\\,|]/g, "\\$&");
  return [title.map(escape).join("|"), ...chart.channels.map(escape)].join(",");
}

function parseChart(text: string): ChartSpec {
  const parts: string[] = [""];
  let titleEnd = -1;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!;
    if (letter === "\\" && i + 1 < text.length) parts[parts.length - 1] += text[++i]!;
    else if (letter === ",") parts.push("");
    else if (letter === "|" && parts.length === 1 && titleEnd < 0) titleEnd = parts[0]!.length;
    else parts[parts.length - 1] += letter;
  }
  const title = parts[0]!;
  return {
    title_en: titleEnd < 0 ? title : title.slice(0, titleEnd),
    title_fr: titleEnd < 0 ? title : title.slice(titleEnd),
    channels: unique(parts.slice(1)),
  };
}

function parseStored(text: string | null): View {
  if (text === null) return DEFAULT_VIEW;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return DEFAULT_VIEW;
  }
  if (typeof value !== "object" || value === null) return DEFAULT_VIEW;
  const stored = value as Partial<Record<keyof View, unknown>>;
  return {
    rateHz: rateOr(stored.rateHz, DEFAULT_VIEW.rateHz),
    windowS: windowOr(stored.windowS, DEFAULT_VIEW.windowS),
    charts: Array.isArray(stored.charts) && stored.charts.every(isChart) ? stored.charts : null,
    hasMap: typeof stored.hasMap === "boolean" ? stored.hasMap : DEFAULT_VIEW.hasMap,
  };
}

function isChart(value: unknown): value is ChartSpec {
  if (typeof value !== "object" || value === null) return false;
  const chart = value as Partial<Record<keyof ChartSpec, unknown>>;
  return (
    typeof chart.title_en === "string" &&
    typeof chart.title_fr === "string" &&
    Array.isArray(chart.channels) &&
    chart.channels.every((name) => typeof name === "string")
  );
}

const unique = (names: readonly string[]): string[] => [...new Set(names.filter((name) => name !== ""))];

function rateOr(value: unknown, otherwise: number): number {
  return inRange(value, 1, 100) ?? otherwise;
}

function windowOr(value: unknown, otherwise: number): number {
  return inRange(value, 1, MAX_WINDOW_S) ?? otherwise;
}

function inRange(value: unknown, low: number, high: number): number | null {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && number >= low && number <= high ? number : null;
}
