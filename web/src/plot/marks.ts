import type { CanvasColours } from "../app/theme.svelte";
import type { Frame } from "../query/query";
import type { Marker } from "../time/markers.svelte";

export interface PlotBox {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

/** Colour of a marker: that of its severity, else of its kind. */
export function markerColour(marker: Marker, colours: CanvasColours): string {
  if (marker.kind === "alarm") return marker.severity === "critical" ? colours.bad : marker.severity === "warning" ? colours.warn : colours.text;
  return marker.kind === "note" ? colours.series[0]! : colours.old;
}

/** Lines (and bands, for what lasts) of what happened in the time in view. */
export function drawMarkers(ctx: CanvasRenderingContext2D, markers: readonly Marker[], frame: Frame, box: PlotBox, colours: CanvasColours): void {
  const x = (us: number): number => box.left + ((us - frame.fromUs) / (frame.toUs - frame.fromUs)) * box.width;
  for (const marker of markers) {
    const toUs = marker.toUs ?? (marker.kind === "alarm" ? frame.toUs : marker.fromUs);
    if (toUs < frame.fromUs || marker.fromUs > frame.toUs || marker.kind === "session") continue;
    const colour = markerColour(marker, colours);
    if (marker.kind === "alarm" && toUs > marker.fromUs) {
      ctx.globalAlpha = 0.12;
      ctx.fillStyle = colour;
      ctx.fillRect(x(marker.fromUs), box.top, Math.max(1, x(toUs) - x(marker.fromUs)), box.height);
      ctx.globalAlpha = 1;
    }
    line(ctx, x(marker.fromUs), box, colour, marker.kind === "lap" ? [2, 4] : [6, 4]);
  }
}

/** What is thinned, and comes whole later, stands on slanted lines. */
export function drawPreviews(ctx: CanvasRenderingContext2D, fromUs: number | null, frame: Frame, box: PlotBox, colours: CanvasColours): void {
  if (fromUs === null || fromUs >= frame.toUs) return;
  const left = box.left + (Math.max(0, fromUs - frame.fromUs) / (frame.toUs - frame.fromUs)) * box.width;
  const step = 9 * box.ratio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, box.top, box.left + box.width - left, box.height);
  ctx.clip();
  ctx.beginPath();
  for (let x = left - box.height; x < box.left + box.width; x += step) {
    ctx.moveTo(x, box.top + box.height);
    ctx.lineTo(x + box.height, box.top);
  }
  ctx.globalAlpha = 0.5;
  ctx.lineWidth = box.ratio;
  ctx.strokeStyle = colours.warn;
  ctx.stroke();
  ctx.restore();
}

/** The second cursor. */
export function drawAnchor(ctx: CanvasRenderingContext2D, frame: Frame, box: PlotBox, colours: CanvasColours): void {
  if (frame.anchorUs === null) return;
  line(ctx, box.left + ((frame.anchorUs - frame.fromUs) / (frame.toUs - frame.fromUs)) * box.width, box, colours.series[0]!, [10, 3]);
}

function line(ctx: CanvasRenderingContext2D, x: number, box: PlotBox, colour: string, dash: readonly number[]): void {
  ctx.beginPath();
  ctx.setLineDash(dash.map((length) => length * box.ratio));
  ctx.moveTo(x, box.top);
  ctx.lineTo(x, box.top + box.height);
  ctx.lineWidth = 1.5 * box.ratio;
  ctx.strokeStyle = colour;
  ctx.stroke();
  ctx.setLineDash([]);
}
