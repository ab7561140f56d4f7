import type { PixelColumns } from "./columnise";

export interface CurveStyle {
  readonly colour: string;
  readonly widthPx: number;
  /** Discrete values hold until the next sample. */
  readonly isStep: boolean;
}

export interface CurveFrame {
  readonly leftPx: number;
  readonly topPx: number;
  readonly heightPx: number;
  readonly low: number;
  readonly high: number;
}

const BAND_ALPHA = 0.25;
/** Samples further apart than this are marked with dots. */
const DOT_DISTANCE_PX = 14;

/** Draws the band of minima and maxima, then the line of last values. */
export function drawCurve(ctx: CanvasRenderingContext2D, columns: PixelColumns, frame: CurveFrame, style: CurveStyle): void {
  if (columns.n === 0) return;
  const scale = frame.heightPx / (frame.high - frame.low);
  const bottom = frame.topPx + frame.heightPx;
  const y = (value: number): number => bottom - (value - frame.low) * scale;
  ctx.lineJoin = "round";
  ctx.fillStyle = ctx.strokeStyle = style.colour;
  if (!style.isStep) drawBand(ctx, columns, frame.leftPx, y);
  ctx.lineWidth = style.widthPx;
  ctx.stroke(linePath(columns, frame.leftPx, y, style.isStep));
  drawDots(ctx, columns, frame.leftPx, y, style.widthPx);
}

function drawBand(ctx: CanvasRenderingContext2D, columns: PixelColumns, left: number, y: (value: number) => number): void {
  const path = new Path2D();
  let hasArea = false;
  for (let begin = 0; begin < columns.n; ) {
    let end = begin + 1;
    while (end < columns.n && columns.isBroken[end] === 0) end++;
    for (let i = begin; i < end; i++) {
      if (columns.maximum[i]! > columns.minimum[i]!) hasArea = true;
      if (i === begin) path.moveTo(left + columns.x[i]!, y(columns.maximum[i]!));
      else path.lineTo(left + columns.x[i]!, y(columns.maximum[i]!));
    }
    for (let i = end - 1; i >= begin; i--) path.lineTo(left + columns.x[i]!, y(columns.minimum[i]!));
    path.closePath();
    begin = end;
  }
  if (!hasArea) return;
  ctx.globalAlpha = BAND_ALPHA;
  ctx.fill(path);
  // The outline keeps a spike visible that is narrower than a pixel.
  ctx.lineWidth = 1;
  ctx.globalAlpha = BAND_ALPHA * 1.6;
  ctx.stroke(path);
  ctx.globalAlpha = 1;
}

function linePath(columns: PixelColumns, left: number, y: (value: number) => number, isStep: boolean): Path2D {
  const path = new Path2D();
  for (let i = 0; i < columns.n; i++) {
    const x = left + columns.x[i]!;
    const first = y(columns.first[i]!);
    if (columns.isBroken[i] === 1) path.moveTo(x, first);
    else {
      if (isStep) path.lineTo(x, y(columns.last[i - 1]!));
      path.lineTo(x, first);
    }
    if (columns.isSingle[i] === 1) continue;
    path.lineTo(x, y(columns.low[i]!));
    path.lineTo(x, y(columns.high[i]!));
    path.lineTo(x, y(columns.last[i]!));
  }
  return path;
}

function drawDots(ctx: CanvasRenderingContext2D, columns: PixelColumns, left: number, y: (value: number) => number, widthPx: number): void {
  const { n, x, isBroken } = columns;
  const isSparse = n < 2 || (x[n - 1]! - x[0]!) / (n - 1) > DOT_DISTANCE_PX * widthPx;
  for (let i = 0; i < n; i++) {
    const isAlone = isBroken[i] === 1 && (i + 1 === n || isBroken[i + 1] === 1);
    if (!isSparse && !isAlone) continue;
    ctx.beginPath();
    ctx.arc(left + x[i]!, y(columns.last[i]!), widthPx * 1.3, 0, 2 * Math.PI);
    ctx.fill();
  }
}
