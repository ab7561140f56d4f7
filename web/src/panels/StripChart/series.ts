import type { Telemetry } from "../../app/telemetry.svelte";
import { panelOf } from "../../extend/panels";
import { axesOf, type PlotSeries } from "../../plot/stripPlot";

/** The curves of a chart: unit of the person, colours in order. */
export function seriesOf(telemetry: Telemetry, channels: readonly string[], colours: readonly string[]): PlotSeries[] {
  return channels.map((name, i) => {
    const info = telemetry.channel(name);
    const conversion = telemetry.numbers.conversion(name);
    return {
      name,
      unit: telemetry.numbers.unit(name),
      conversion,
      isStep: info?.kind === "discrete",
      choices: info?.choices ?? [],
      colour: colours[i % colours.length]!,
    };
  });
}

/** `before` where nothing of the curves changed: definitions come anew with each epoch, and a chart made anew loses its cursor. */
export function unchangedOr(before: readonly PlotSeries[], now: readonly PlotSeries[]): readonly PlotSeries[] {
  return JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

/** Axes of the strip chart of the sheet that has the most: all charts begin at the same distance from their left edge. */
export function sheetAxes(telemetry: Telemetry, maxAxes: number): number {
  const counts = telemetry.workbooks.sheet.panels
    .filter((panel) => panel.kind === "strip")
    .map((panel) => axesOf(seriesOf(telemetry, panelOf("strip")!.channels(panelOf("strip")!.read(panel.settings), null), [""]), maxAxes));
  return Math.max(1, ...counts);
}
