import { panelOf } from "../extend/panels";
import type { Key } from "../i18n/i18n.svelte";
import type { ChannelInfo, VehicleInfo } from "../protocol/messages";
import { defaultCharts } from "../settings/defaults";
import { EMPTY, type PanelSpec, type Place, type Sheet, type Titled, type Workbook } from "./model";

/** The workbooks that need nobody to make them: of the vehicle's charts, and of what its channels are called. */
export const PRESETS = [
  { id: "default", title: "preset.default" },
  { id: "driver", title: "preset.driver" },
  { id: "powertrain", title: "preset.powertrain" },
  { id: "strategy", title: "preset.strategy" },
  { id: "tv", title: "preset.tv" },
] as const satisfies readonly { readonly id: string; readonly title: Key }[];

type PresetId = (typeof PRESETS)[number]["id"];

export function isPreset(id: string): id is PresetId {
  return PRESETS.some((preset) => preset.id === id);
}

export function presetWorkbook(vehicle: VehicleInfo, id: PresetId): Workbook {
  const sheets = MAKERS[id](new Finder(vehicle)).filter((sheet) => sheet.panels.length > 0);
  return sheets.length === 0 ? EMPTY : { version: 1, sheets };
}

const MAKERS: Record<PresetId, (find: Finder) => Sheet[]> = {
  default: (find) => [overview(find), battery(find), dynamics(find), laps(find), everything(find)],
  driver: (find) => [driver(find), dynamics(find), laps(find)],
  powertrain: (find) => [powertrain(find), battery(find)],
  strategy: (find) => [strategy(find), laps(find)],
  tv: (find) => [television(find), battery(find)],
};

/** Finds channels of a vehicle by what teams call them. */
class Finder {
  readonly charts;

  constructor(readonly vehicle: VehicleInfo) {
    this.charts = defaultCharts(vehicle);
  }

  all(name: RegExp, unit?: RegExp, most = 16): string[] {
    return this.vehicle.channels.filter((channel) => matches(channel, name, unit)).slice(0, most).map((channel) => channel.name);
  }

  one(name: RegExp, unit?: RegExp): string {
    return this.all(name, unit, 1)[0] ?? "";
  }

  /** The first channel of each pattern that the vehicle has. */
  each(...patterns: readonly (readonly [name: RegExp, unit?: RegExp])[]): string[] {
    return [...new Set(patterns.map(([name, unit]) => this.one(name, unit)).filter((name) => name !== ""))];
  }

  get speed(): string {
    return this.each([/VehicleMotion\.Speed$/], [/speed/i, /^(km\/?h|kph|m\/s|mph)$/i])[0] ?? "";
  }

  get lamps(): string[] {
    return this.all(/shutdown|air(positive|negative)|\bimd|imdstate|bms(ok|state|fault)|bspd|readytodrive|tractivesystem|(inverter|batterypack|bms|motorcontroller)\.(state|status)$|strategy\.phase/i, undefined, 12);
  }

  get cells(): string[] {
    return this.all(/(cell|cellule)s?.*\.?(cell|v|cellule)_?\d+$/i, /^m?v$/i, 150);
  }

  get cellTemperatures(): string[] {
    return this.all(/(batter|cell|pack).*temp.*\d+$/i, /c$|k$/i, 60);
  }

  get longitudinal(): string {
    return this.each([/acceleration.*\.longitudinal$/i], [/accel\w*\.?x$|imu.*\.(x|longitudinal)$/i])[0] ?? "";
  }

  get lateral(): string {
    return this.each([/acceleration.*\.lateral$/i], [/accel\w*\.?y$|imu.*\.(y|lateral)$/i])[0] ?? "";
  }
}

const matches = (channel: ChannelInfo, name: RegExp, unit?: RegExp): boolean => name.test(channel.name) && (unit === undefined || unit.test(channel.unit));

/** Puts panels on a sheet; those without channels are left out. */
class SheetMaker {
  readonly panels: PanelSpec[] = [];

  add(place: Place, kind: string, settings: Record<string, unknown>, titled: Titled = { title_en: "", title_fr: "" }): void {
    const { channels, channel } = settings;
    if (panelOf(kind) === undefined || channel === "" || (Array.isArray(channels) && channels.length === 0)) return;
    const { title_en, title_fr } = titled;
    this.panels.push({ id: String(this.panels.length + 1), kind, title_en, title_fr, ...place, settings });
  }

  sheet(id: string, title_en: string, title_fr: string): Sheet {
    return { id, title_en, title_fr, panels: this.panels };
  }
}

const at = (x: number, y: number, w: number, h: number): Place => ({ x, y, w, h });
const titled = (title_en: string, title_fr: string): Titled => ({ title_en, title_fr });

function overview(find: Finder): Sheet {
  const make = new SheetMaker();
  const lamps = find.lamps;
  const tiles = find.each([/VehicleMotion\.Speed$/], [/stateofcharge|\bsoc\b/i, /%/], [/power$/i, /^k?w$/i], [/motor.*winding|motor.*temp/i, /c$/i]);
  if (tiles.length === 0 && find.speed !== "") tiles.push(find.speed);
  const top = lamps.length > 0 ? 4 : 0;
  make.add(at(0, 0, 9, 4), "lamps", { channels: lamps }, titled("States", "États"));
  const charts = find.charts.slice(0, 4);
  charts.forEach((chart, i) => make.add(at(0, top + i * 4, 9, 4), "strip", { channels: chart.channels }, chart));
  const bottom = Math.max(12, top + charts.length * 4);
  make.add(at(9, 0, 3, 8), "tiles", { channels: tiles }, titled("Now", "Maintenant"));
  const mapTop = tiles.length > 0 ? 8 : 0;
  if (find.vehicle.map !== null) make.add(at(9, mapTop, 3, bottom - mapTop), "map", { colour: tiles.length > 0 ? find.speed : "" }, titled("Map", "Carte"));
  return make.sheet("overview", "Overview", "Ensemble");
}

function battery(find: Finder): Sheet {
  const make = new SheetMaker();
  const pack = find.each([/(pack|battery).*\.voltage$/i, /^v$/i], [/(pack|battery).*\.current$/i, /^a$/i], [/stateofcharge|\bsoc\b/i, /%/]);
  make.add(at(0, 0, 8, 9), "matrix", { channels: find.cells }, titled("Cell voltages", "Tensions des cellules"));
  make.add(at(8, 0, 4, 9), "matrix", { channels: find.cellTemperatures }, titled("Cell temperatures", "Températures des cellules"));
  make.add(at(0, 9, 8, 5), "strip", { channels: pack }, titled("Pack", "Pack"));
  make.add(at(8, 9, 4, 11), "histogram", { channel: pack.find((name) => /current/i.test(name)) ?? "" }, titled("Current over time", "Répartition du courant"));
  make.add(at(0, 14, 8, 6), "strip", { channels: find.all(/cellsummary\.(minimum|mean|maximum)voltage/i) }, titled("Spread of the cells", "Écart des cellules"));
  return compact(make.sheet("battery", "Battery", "Batterie"));
}

function dynamics(find: Finder): Sheet {
  const make = new SheetMaker();
  const { longitudinal, lateral, speed } = find;
  if (longitudinal !== "" && lateral !== "") make.add(at(0, 0, 4, 10), "gg", { longitudinal, lateral, colour: speed });
  const rpm = find.one(/motor\w*\.?\w*(speed|rpm)|rpm/i, /rpm|1\/min|tr\/min/i);
  const torque = find.one(/torque/i, /n·?m/i) || find.one(/motor.*power/i);
  if (rpm !== "" && torque !== "") make.add(at(4, 0, 4, 10), "xy", { x: rpm, y: torque, colour: "" }, titled("Motor working points", "Points de fonctionnement du moteur"));
  if (find.vehicle.map !== null) make.add(at(8, 0, 4, 10), "map", { colour: longitudinal || speed }, titled("Map", "Carte"));
  make.add(at(0, 10, 8, 10), "strip", { channels: find.each([/steering.*angle/i], [/throttle/i], [/brakepressures?\.front/i], [/acceleration\.longitudinal/i], [/acceleration\.lateral/i]) }, titled("Driving", "Conduite"));
  make.add(at(8, 10, 4, 10), "histogram", { channel: speed }, titled("Speed over time", "Répartition de la vitesse"));
  return compact(make.sheet("dynamics", "Dynamics", "Dynamique"));
}

function laps(find: Finder): Sheet {
  const make = new SheetMaker();
  const channels = find.each([/VehicleMotion\.Speed$/], [/throttle/i], [/brakepressures?\.front/i]);
  if (channels.length === 0 && find.speed !== "") channels.push(find.speed);
  make.add(at(0, 0, 4, 20), "laps", {});
  make.add(at(4, 0, 8, 20), "overlay", { channels, axis: "distance" });
  return make.sheet("laps", "Laps", "Tours");
}

function everything(find: Finder): Sheet {
  const make = new SheetMaker();
  const rest = find.charts.slice(4);
  rest.forEach((chart, i) => make.add(at(0, i * 5, 12, 5), "strip", { channels: chart.channels }, chart));
  return make.sheet("charts", "More charts", "Autres courbes");
}

function driver(find: Finder): Sheet {
  const make = new SheetMaker();
  make.add(at(0, 0, 9, 6), "strip", { channels: [find.speed].filter((name) => name !== "") }, titled("Speed", "Vitesse"));
  make.add(at(0, 6, 9, 5), "strip", { channels: find.each([/throttle/i], [/brakepressures?\.front|brakelever/i], [/brakepressures?\.rear/i]) }, titled("Pedals", "Pédales"));
  make.add(at(0, 11, 9, 5), "strip", { channels: find.each([/steering.*angle/i]) }, titled("Steering", "Direction"));
  make.add(at(0, 16, 9, 5), "strip", { channels: [find.longitudinal, find.lateral].filter((name) => name !== "") }, titled("Accelerations", "Accélérations"));
  if (find.vehicle.map !== null) make.add(at(9, 0, 3, 10), "map", { colour: find.one(/brakepressures?\.front/i) || find.speed }, titled("Map", "Carte"));
  if (find.longitudinal !== "" && find.lateral !== "") make.add(at(9, 10, 3, 11), "gg", { longitudinal: find.longitudinal, lateral: find.lateral, colour: find.speed });
  return compact(make.sheet("driver", "Driving", "Conduite"));
}

function powertrain(find: Finder): Sheet {
  const make = new SheetMaker();
  make.add(at(0, 0, 12, 4), "lamps", { channels: find.lamps }, titled("States", "États"));
  const gauges = find.each([/motor\w*\.?\w*(speed|rpm)|rpm/i, /rpm|1\/min|tr\/min/i], [/torque/i, /n·?m/i], [/stateofcharge|\bsoc\b/i, /%/], [/power$/i, /^k?w$/i]);
  gauges.forEach((channel, i) => make.add(at(i * 3, 4, 3, 6), "gauge", { channel, shape: "arc" }));
  make.add(at(0, 10, 8, 6), "strip", { channels: find.each([/torque/i, /n·?m/i], [/power$/i, /^k?w$/i], [/(pack|battery).*\.current$/i]) }, titled("Motor", "Moteur"));
  make.add(at(0, 16, 8, 5), "strip", { channels: find.all(/(motor|inverter|controller|coolant).*temp.*|coolanttemp/i, /c$/i, 6) }, titled("Temperatures", "Températures"));
  const temperatures = find.all(/(motor|inverter|controller|coolant)\w*temperatures?\./i, /c$/i, 6);
  make.add(at(8, 10, 4, 11), "bars", { channels: temperatures }, titled("Hot spots", "Points chauds"));
  return compact(make.sheet("powertrain", "Powertrain", "Motorisation"));
}

function strategy(find: Finder): Sheet {
  const make = new SheetMaker();
  const energy = find.all(/energy|joule|efficiency|distanceperenergy/i, /wh|j$|km\/|m\/s?/i, 4);
  make.add(at(0, 0, 12, 4), "tiles", { channels: [...new Set([find.speed, ...find.each([/stateofcharge|\bsoc\b/i, /%/], [/laptimer.*(lap|number)/i], [/laptimer.*time/i]), ...energy])].filter((name) => name !== "").slice(0, 6) }, titled("Now", "Maintenant"));
  make.add(at(0, 4, 8, 6), "strip", { channels: find.each([/VehicleMotion\.Speed$/], [/neededspeed|targetspeed/i]) }, titled("Speed", "Vitesse"));
  make.add(at(0, 10, 8, 5), "strip", { channels: energy.slice(0, 3) }, titled("Energy", "Énergie"));
  make.add(at(0, 15, 8, 5), "strip", { channels: find.each([/stateofcharge|\bsoc\b/i, /%/], [/(battery|motor|inverter\w*)\.?power$/i]) }, titled("State of charge", "État de charge"));
  if (find.vehicle.map !== null) make.add(at(8, 4, 4, 8), "map", { colour: find.speed }, titled("Map", "Carte"));
  make.add(at(8, 12, 4, 8), "laps", {});
  return compact(make.sheet("strategy", "Strategy", "Stratégie"));
}

function television(find: Finder): Sheet {
  const make = new SheetMaker();
  if (find.vehicle.map !== null) make.add(at(0, 0, 6, 14), "map", { colour: find.speed }, titled("Map", "Carte"));
  make.add(at(6, 0, 3, 7), "gauge", { channel: find.speed, shape: "arc" });
  make.add(at(9, 0, 3, 7), "gauge", { channel: find.one(/stateofcharge|\bsoc\b/i, /%/), shape: "arc" });
  make.add(at(6, 7, 3, 7), "laps", {});
  make.add(at(9, 7, 3, 7), "alarms", {});
  make.add(at(0, 14, 12, 7), "strip", { channels: find.charts[0]?.channels ?? [] }, find.charts[0]);
  return compact(make.sheet("tv", "On screen", "À l’écran"));
}

/** Moves panels up and widens rows where a neighbour was left out. */
export function compact(sheet: Sheet): Sheet {
  const panels: PanelSpec[] = [];
  for (const panel of [...sheet.panels].sort((a, b) => a.y - b.y || a.x - b.x)) {
    let y = panel.y;
    const hits = (place: Place): boolean => panels.some((other) => other.x < place.x + place.w && place.x < other.x + other.w && other.y < place.y + place.h && place.y < other.y + other.h);
    while (y > 0 && !hits({ ...panel, y: y - 1 })) y--;
    panels.push({ ...panel, y });
  }
  return { ...sheet, panels };
}
