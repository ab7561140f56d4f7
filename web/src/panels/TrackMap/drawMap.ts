import type { CanvasColours } from "../../app/theme.svelte";
import { Fit, Projection, scaleBarMetres, type Extent } from "./projection";
import type { Track } from "./track";

export interface MapFrame {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  readonly colours: CanvasColours;
  /** Colour of the car: that of the state lamp. */
  readonly carColour: string;
  readonly cursorUs: number | null;
}

const MARGIN_PX = 28;
const MAX_PX_PER_METRE = 4;
const HEADING_METRES = 1.5;
const FONT_PX = 12;

/** Draws the positions, the car with its heading, a scale bar and north. */
export function drawMap(ctx: CanvasRenderingContext2D, track: Track, extent: Extent | null, frame: MapFrame): void {
  const { width, height, ratio, colours } = frame;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
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
  drawTrack(ctx, track, x, y, colours);
  drawScaleBar(ctx, fit, frame);
  if (frame.cursorUs !== null) drawCursor(ctx, track, x, y, frame, frame.cursorUs);
  drawCar(ctx, track, projection, x, y, frame);
}

type Place = (index: number) => number;

function drawTrack(ctx: CanvasRenderingContext2D, track: Track, x: Place, y: Place, colours: CanvasColours): void {
  ctx.beginPath();
  for (let i = 0; i < track.n; i++) {
    if (track.isBroken[i] === 1) ctx.moveTo(x(i), y(i));
    else ctx.lineTo(x(i), y(i));
  }
  ctx.lineJoin = ctx.lineCap = "round";
  ctx.lineWidth = 2.5;
  ctx.strokeStyle = colours.track;
  ctx.stroke();
}

function drawCursor(ctx: CanvasRenderingContext2D, track: Track, x: Place, y: Place, frame: MapFrame, us: number): void {
  const i = track.indexAt(us);
  if (i < 0) return;
  ctx.beginPath();
  ctx.arc(x(i), y(i), 6, 0, 2 * Math.PI);
  ctx.fillStyle = frame.colours.background;
  ctx.fill();
  ctx.lineWidth = 2.5;
  ctx.strokeStyle = frame.colours.text;
  ctx.stroke();
}

function drawCar(ctx: CanvasRenderingContext2D, track: Track, projection: Projection, x: Place, y: Place, frame: MapFrame): void {
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
export function headingOf(track: Track, projection: Projection): number | null {
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
