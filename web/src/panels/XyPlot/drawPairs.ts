import type { CanvasColours } from "../../app/theme.svelte";
import { partOf, scaleColour, type Scale } from "../../plot/colourScale";
import { decimalsOfStep, formatNumber } from "../../plot/format";
import { niceStep, type Range } from "../../plot/range";
import type { PairsAnswer } from "../../query/query";
import type { Conversion } from "../../units/units";
import { tickText } from "../ticks";

export interface PairsFrame {
  readonly width: number;
  readonly height: number;
  readonly colours: CanvasColours;
  readonly language: string;
  readonly x: Range;
  readonly y: Range;
  readonly xUnit: Conversion;
  readonly yUnit: Conversion;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly scale: Scale | null;
  /** Where the pointer's time is; null: the newest. */
  readonly cursorUs: number | null;
  /** Equal scales, with circles of these radii (displayed units): a G-G diagram. */
  readonly circles: readonly number[];
}

const LEFT = 50;
const BOTTOM = 38;
/** The title of the y axis stands above it: two long titles have no room in one line. */
const TOP = 24;
const RIGHT = 12;
const DOT = 1.7;

/** Draws axes, grid and points; the newest (or that under the cursor) with a ring. */
export function drawPairs(ctx: CanvasRenderingContext2D, pairs: PairsAnswer, frame: PairsFrame): void {
  const box = boxOf(frame);
  const x = (value: number): number => box.left + ((value * frame.xUnit.factor + frame.xUnit.offset - frame.x.low) / (frame.x.high - frame.x.low)) * box.width;
  const y = (value: number): number => box.top + box.height - ((value * frame.yUnit.factor + frame.yUnit.offset - frame.y.low) / (frame.y.high - frame.y.low)) * box.height;
  drawAxes(ctx, frame, box);
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left, box.top, box.width, box.height);
  ctx.clip();
  for (let i = 0; i < pairs.n; i++) {
    // The older, the fainter: the way through the window can be seen.
    ctx.globalAlpha = 0.35 + (0.65 * i) / pairs.n;
    ctx.fillStyle = frame.scale === null ? frame.colours.series[0]! : scaleColour(partOf(pairs.colours[i]!, frame.scale), frame.colours.old);
    ctx.fillRect(x(pairs.x[i]!) - DOT, y(pairs.y[i]!) - DOT, 2 * DOT, 2 * DOT);
  }
  ctx.globalAlpha = 1;
  const at = pairAt(pairs, frame.cursorUs);
  if (at >= 0) {
    ctx.beginPath();
    ctx.arc(x(pairs.x[at]!), y(pairs.y[at]!), 6, 0, 2 * Math.PI);
    ctx.fillStyle = frame.colours.background;
    ctx.strokeStyle = frame.colours.text;
    ctx.lineWidth = 2.5;
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

/** The last pair at or before the time; the newest without one. */
export function pairAt(pairs: PairsAnswer, us: number | null): number {
  let at = pairs.n - 1;
  if (us !== null) while (at >= 0 && pairs.times[at]! > us) at--;
  return at;
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function boxOf({ width, height, circles }: PairsFrame): Box {
  const box = { left: LEFT, top: TOP, width: Math.max(10, width - LEFT - RIGHT), height: Math.max(10, height - TOP - BOTTOM) };
  if (circles.length === 0) return box;
  const side = Math.min(box.width, box.height);
  return { left: box.left + (box.width - side) / 2, top: box.top + (box.height - side) / 2, width: side, height: side };
}

function drawAxes(ctx: CanvasRenderingContext2D, frame: PairsFrame, box: Box): void {
  const { colours } = frame;
  ctx.strokeStyle = colours.grid;
  ctx.fillStyle = colours.text;
  ctx.lineWidth = 1;
  ctx.font = "12px system-ui, sans-serif";
  const xStep = niceStep((frame.x.high - frame.x.low) / Math.max(2, box.width / 70));
  const yStep = niceStep((frame.y.high - frame.y.low) / Math.max(2, box.height / 45));
  for (const value of steps(frame.x, xStep)) {
    const px = box.left + ((value - frame.x.low) / (frame.x.high - frame.x.low)) * box.width;
    segment(ctx, px, box.top, px, box.top + box.height);
    tickText(ctx, formatNumber(value, decimalsOfStep(xStep), frame.language), px, box.top + box.height + 7, frame.width);
  }
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  for (const value of steps(frame.y, yStep)) {
    const py = box.top + box.height - ((value - frame.y.low) / (frame.y.high - frame.y.low)) * box.height;
    segment(ctx, box.left, py, box.left + box.width, py);
    ctx.fillText(formatNumber(value, decimalsOfStep(yStep), frame.language), box.left - 5, py);
  }
  ctx.strokeStyle = colours.old;
  for (const radius of frame.circles) {
    ctx.beginPath();
    ctx.arc(box.left + box.width / 2, box.top + box.height / 2, (radius / (frame.x.high - frame.x.low)) * box.width, 0, 2 * Math.PI);
    ctx.stroke();
  }
  ctx.textAlign = "right";
  ctx.textBaseline = "bottom";
  const widest = frame.width - 4;
  ctx.fillText(frame.xTitle, Math.max(box.left + box.width, Math.min(frame.width - 2, ctx.measureText(frame.xTitle).width + 2)), frame.height - 1, widest);
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.fillText(frame.yTitle, 2, 1, widest);
}

function* steps({ low, high }: Range, step: number): Generator<number> {
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) yield k * step;
}

function segment(ctx: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}
