import type { CanvasColours } from "../../app/theme.svelte";
import { decimalsOfStep, formatNumber } from "../../plot/format";
import { niceRange, niceStep } from "../../plot/range";
import { tickText } from "../ticks";

/** A curve of one lap in one row of the overlay; x from 0 to 1 of the whole axis. */
export interface OverlayCurve {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly colour: string;
}

export interface OverlayRow {
  readonly title: string;
  readonly curves: readonly OverlayCurve[];
}

export interface OverlayFrame {
  readonly width: number;
  readonly height: number;
  readonly colours: CanvasColours;
  readonly language: string;
  /** The part of the axis in view. */
  readonly from: number;
  readonly to: number;
  /** What 1 on the axis stands for, and its unit. */
  readonly whole: number;
  readonly unit: string;
  /** Place of the cursor on the axis. */
  readonly cursor: number | null;
}

export const LEFT = 52;
export const RIGHT = 10;
const BOTTOM = 22;
/** So that the lowest label of a row stays off the highest one of the next. */
const GAP = 16;

/** Rows of curves under each other on one axis. */
export function drawOverlay(ctx: CanvasRenderingContext2D, rows: readonly OverlayRow[], frame: OverlayFrame): void {
  const { width, height, colours } = frame;
  const rowHeight = (height - BOTTOM - GAP * rows.length) / rows.length;
  const x = (place: number): number => LEFT + ((place - frame.from) / (frame.to - frame.from)) * (width - LEFT - RIGHT);
  ctx.font = "12px system-ui, sans-serif";
  ctx.lineWidth = 1;
  const step = niceStep(((frame.to - frame.from) * frame.whole) / Math.max(2, width / 90));
  for (let k = Math.ceil((frame.from * frame.whole) / step); k * step <= frame.to * frame.whole + 1e-9; k++) {
    const px = x((k * step) / frame.whole);
    segment(ctx, px, 0, px, height - BOTTOM, colours.grid);
    ctx.fillStyle = colours.text;
    tickText(ctx, `${formatNumber(k * step, decimalsOfStep(step), frame.language)} ${frame.unit}`, px, height - BOTTOM + 7, width);
  }
  rows.forEach((row, i) => drawRow(ctx, row, GAP + i * (rowHeight + GAP), rowHeight, x, frame));
  if (frame.cursor !== null) segment(ctx, x(frame.cursor), 0, x(frame.cursor), height - BOTTOM, colours.text);
}

function drawRow(ctx: CanvasRenderingContext2D, row: OverlayRow, top: number, height: number, x: (place: number) => number, frame: OverlayFrame): void {
  let least = Infinity;
  let greatest = -Infinity;
  for (const curve of row.curves) {
    for (let i = 0; i < curve.x.length; i++) {
      if (curve.x[i]! < frame.from || curve.x[i]! > frame.to) continue;
      least = Math.min(least, curve.y[i]!);
      greatest = Math.max(greatest, curve.y[i]!);
    }
  }
  const { low, high } = niceRange(least, greatest);
  const y = (value: number): number => top + height * (1 - (value - low) / (high - low));
  const step = niceStep((high - low) / Math.max(1.5, height / 34));
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    segment(ctx, LEFT, y(k * step), frame.width - RIGHT, y(k * step), frame.colours.grid);
    ctx.fillStyle = frame.colours.text;
    ctx.fillText(formatNumber(k * step, decimalsOfStep(step), frame.language), LEFT - 5, y(k * step));
  }
  ctx.save();
  ctx.beginPath();
  ctx.rect(LEFT, top - 2, frame.width - LEFT - RIGHT, height + 4);
  ctx.clip();
  ctx.lineWidth = frame.colours.lineWidth;
  ctx.lineJoin = "round";
  for (const curve of row.curves) {
    ctx.beginPath();
    for (let i = 0; i < curve.x.length; i++) ctx.lineTo(x(curve.x[i]!), y(curve.y[i]!));
    ctx.strokeStyle = curve.colour;
    ctx.stroke();
  }
  ctx.restore();
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.font = "600 12px system-ui, sans-serif";
  const titleWidth = ctx.measureText(row.title).width;
  ctx.fillStyle = frame.colours.background;
  ctx.globalAlpha = 0.8;
  ctx.fillRect(LEFT + 4, top, titleWidth + 6, 15);
  ctx.globalAlpha = 1;
  ctx.fillStyle = frame.colours.text;
  ctx.fillText(row.title, LEFT + 7, top + 1);
  ctx.font = "12px system-ui, sans-serif";
}

function segment(ctx: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number, colour: string): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.lineWidth = 1;
  ctx.strokeStyle = colour;
  ctx.stroke();
}
