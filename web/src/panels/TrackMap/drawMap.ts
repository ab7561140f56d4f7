import type { CanvasColours } from "../../app/theme.svelte";
import { Fit, Projection, scaleBarMetres, type Extent } from "./projection";
import { partOf, scaleColour, type Scale } from "../../plot/colourScale";
import type { TrackAnswer } from "../../query/query";

export interface MapFrame {
  readonly width: number;
  readonly height: number;
  readonly colours: CanvasColours;
  /** Colour of the car: that of the state lamp. */
  readonly carColour: string;
  readonly cursorUs: number | null;
  /** The range of the colour channel; null: one colour. */
  readonly scale: Scale | null;
}

const MARGIN_PX = 28;
const MAX_PX_PER_METRE = 4;
const HEADING_METRES = 1.5;
const FONT_PX = 12;

/** Draws the positions, the car with its heading, a scale bar and north. */
export function drawMap(ctx: CanvasRenderingContext2D, track: TrackAnswer, extent: Extent | null, frame: MapFrame): void {
  const { width, height } = frame;
  if (track.n === 0 || extent === null) return;
  const middle = (extent.south + extent.north) / 2;
  const projection = new Projection(middle, (extent.west + extent.east) / 2);
  const metres = {
    west: projection.east(extent.west),
    east: projection.east(extent.east),
    south: projection.north(extent.south),
    north: projection.north(extent.north),
  };
  const fit = new Fit(metres, width, height, MARGIN_PX, MAX_PX_PER_METRE);
  const x = (i: number): number => fit.x(projection.east(track.longitudes[i]!));
  const y = (i: number): number => fit.y(projection.north(track.latitudes[i]!));
  drawTrack(ctx, track, x, y, frame);
  drawScaleBar(ctx, fit, frame);
  if (frame.cursorUs !== null) drawCursor(ctx, track, x, y, frame, frame.cursorUs);
  drawCar(ctx, track, projection, x, y, frame);
}

type Place = (index: number) => number;

function drawTrack(ctx: CanvasRenderingContext2D, track: TrackAnswer, x: Place, y: Place, { colours, scale }: MapFrame): void {
  ctx.lineJoin = ctx.lineCap = "round";
  ctx.lineWidth = scale === null ? 2.5 : 4.5;
  const colourOf = (i: number): string => (scale === null ? colours.track : scaleColour(partOf(track.colours[i]!, scale), colours.old));
  let colour = "";
  ctx.beginPath();
  for (let i = 0; i < track.n; i++) {
    if (track.isBroken[i] === 1 || i === 0) {
      ctx.moveTo(x(i), y(i));
      continue;
    }
    const next = colourOf(i);
    if (next !== colour && colour !== "") {
      ctx.strokeStyle = colour;
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x(i - 1), y(i - 1));
    }
    colour = next;
    ctx.lineTo(x(i), y(i));
  }
  ctx.strokeStyle = colour || colours.track;
  ctx.stroke();
}

/** Index of the newest position at or before `us`, -1 when there is none. */
export function positionAt(track: TrackAnswer, us: number): number {
  let index = track.n - 1;
  while (index >= 0 && track.times[index]! > us) index--;
  return index;
}

function drawCursor(ctx: CanvasRenderingContext2D, track: TrackAnswer, x: Place, y: Place, frame: MapFrame, us: number): void {
  const i = positionAt(track, us);
  if (i < 0) return;
  ctx.beginPath();
  ctx.arc(x(i), y(i), 6, 0, 2 * Math.PI);
  ctx.fillStyle = frame.colours.background;
  ctx.fill();
  ctx.lineWidth = 2.5;
  ctx.strokeStyle = frame.colours.text;
  ctx.stroke();
}

function drawCar(ctx: CanvasRenderingContext2D, track: TrackAnswer, projection: Projection, x: Place, y: Place, frame: MapFrame): void {
  const car = track.n - 1;
  const heading = headingOf(track, projection);
  ctx.save();
  ctx.translate(x(car), y(car));
  ctx.beginPath();
  if (heading === null) ctx.arc(0, 0, 7, 0, 2 * Math.PI);
  else {
    ctx.rotate(heading);
    ctx.moveTo(0, -13);
    ctx.lineTo(9, 10);
    ctx.lineTo(0, 5);
    ctx.lineTo(-9, 10);
    ctx.closePath();
  }
  ctx.fillStyle = frame.carColour;
  ctx.strokeStyle = frame.colours.background;
  ctx.lineJoin = "round";
  ctx.lineWidth = 2;
  ctx.fill();
  ctx.stroke();
  ctx.restore();
}

/** Radians clockwise from north, from the last positions that are far enough apart; null for a car that never moved. */
export function headingOf(track: TrackAnswer, projection: Projection): number | null {
  const last = track.n - 1;
  for (let i = last - 1; i >= 0 && track.isBroken[i + 1] === 0; i--) {
    const east = projection.east(track.longitudes[last]!) - projection.east(track.longitudes[i]!);
    const north = projection.north(track.latitudes[last]!) - projection.north(track.latitudes[i]!);
    if (Math.hypot(east, north) >= HEADING_METRES) return Math.atan2(east, north);
  }
  return null;
}

function drawScaleBar(ctx: CanvasRenderingContext2D, fit: Fit, frame: MapFrame): void {
  const metres = scaleBarMetres(Math.min(120, frame.width / 3) / fit.pxPerMetre);
  const length = metres * fit.pxPerMetre;
  const y = frame.height - 10;
  ctx.strokeStyle = ctx.fillStyle = frame.colours.text;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo(12, y - 5);
  ctx.lineTo(12, y);
  ctx.lineTo(12 + length, y);
  ctx.lineTo(12 + length, y - 5);
  ctx.stroke();
  ctx.font = `${FONT_PX}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  ctx.fillText(metres >= 1000 ? `${metres / 1000} km` : `${metres} m`, 18 + length, y);
  drawNorth(ctx, frame);
}

function drawNorth(ctx: CanvasRenderingContext2D, frame: MapFrame): void {
  const x = frame.width - 18;
  ctx.beginPath();
  ctx.moveTo(x, 10);
  ctx.lineTo(x + 5, 22);
  ctx.lineTo(x, 19);
  ctx.lineTo(x - 5, 22);
  ctx.closePath();
  ctx.fill();
  ctx.textAlign = "center";
  ctx.fillText("N", x, 35);
}
