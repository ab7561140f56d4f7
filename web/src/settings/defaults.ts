import type { ChannelInfo, ChartDefault, VehicleInfo } from "../protocol/messages";

interface Theme {
  readonly title_en: string;
  readonly title_fr: string;
  readonly name: RegExp;
  readonly unit: RegExp;
}

/** What a person looks at first, for a vehicle that names no charts. */
const THEMES: readonly Theme[] = [
  { title_en: "Speed", title_fr: "Vitesse", name: /speed|vitesse|velocity/i, unit: /^(km\/?h|kph|m\/s|mph)$/i },
  { title_en: "Motor", title_fr: "Moteur", name: /rpm|torque|couple|throttle|pedal/i, unit: /^(rpm|1\/min|tr\/min|nm|n·m|%)$/i },
  { title_en: "Electrical", title_fr: "Électrique", name: /volt|current|courant|power|soc/i, unit: /^(v|mv|a|ma|w|kw|%)$/i },
  { title_en: "Temperatures", title_fr: "Températures", name: /temp/i, unit: /^(°?c|degc|deg c|k)$/i },
  { title_en: "Acceleration", title_fr: "Accélération", name: /accel/i, unit: /^(m\/s(²|\^2|2)|g)$/i },
  { title_en: "Attitude", title_fr: "Attitude", name: /roll|pitch|yaw|heading/i, unit: /^(°|deg|rad)$/i },
  { title_en: "Altitude", title_fr: "Altitude", name: /altitude/i, unit: /^m$/i },
];
/** Figures about the measurement rather than the car. */
const MINOR = /accuracy|error|status|counter|crc|checksum|reserved|delay/i;
const PER_CHART = 4;
const MAX_CHARTS = 4;

/** The charts of the vehicle, without channels that it does not have; else a few that suit its channels. */
export function defaultCharts(vehicle: VehicleInfo): ChartDefault[] {
  const known = new Set(vehicle.channels.map((channel) => channel.name));
  const charts = vehicle.charts
    .map((chart) => ({ ...chart, channels: chart.channels.filter((name) => known.has(name)) }))
    .filter((chart) => chart.channels.length > 0);
  return charts.length > 0 ? charts : guessCharts(vehicle.channels);
}

function guessCharts(channels: readonly ChannelInfo[]): ChartDefault[] {
  const free = new Set(channels.filter((channel) => channel.kind === "continuous" && !MINOR.test(channel.signal)));
  const charts: ChartDefault[] = [];
  for (const theme of THEMES) {
    const found = [...free].filter((channel) => theme.name.test(channel.signal) && theme.unit.test(channel.unit)).slice(0, PER_CHART);
    if (found.length === 0 || charts.length === MAX_CHARTS) continue;
    for (const channel of found) free.delete(channel);
    charts.push({ title_en: theme.title_en, title_fr: theme.title_fr, channels: found.map((channel) => channel.name) });
  }
  if (charts.length > 0) return charts;
  const first = (free.size > 0 ? [...free] : channels).slice(0, PER_CHART);
  return first.length === 0 ? [] : [{ title_en: "", title_fr: "", channels: first.map((channel) => channel.name) }];
}
