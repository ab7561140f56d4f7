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

const BAND_ALPHA = 0.3;
/** Samples further apart than this are marked with dots. */
const DOT_DISTANCE_PX = 14;
/** Bands of columns this near to each other are drawn as bars. */
const DENSE_PX = 1.6;
/** A column that swings further than from its first to its last value is drawn as a bar: far cheaper than steep strokes. */
const SWING_PX = 1.5;

type Place = (value: number) => number;

/** Draws the band of minima and maxima, then the line of last values. */
export function drawCurve(ctx: CanvasRenderingContext2D, columns: PixelColumns, frame: CurveFrame, style: CurveStyle): void {
  if (columns.n === 0) return;
  const scale = frame.heightPx / (frame.high - frame.low);
  const bottom = frame.topPx + frame.heightPx;
  const y = (value: number): number => bottom - (value - frame.low) * scale;
  ctx.lineJoin = "round";
  ctx.fillStyle = ctx.strokeStyle = style.colour;
  if (!style.isStep) drawBand(ctx, columns, frame.leftPx, y);
  drawLine(ctx, columns, frame.leftPx, y, style);
  drawDots(ctx, columns, frame.leftPx, y, style.widthPx);
}

/** The band counts only where it leaves what the line itself covers. */
function drawBand(ctx: CanvasRenderingContext2D, columns: PixelColumns, left: number, y: Place): void {
  const { n, x, low, high, minimum, maximum, isBroken } = columns;
  ctx.globalAlpha = BAND_ALPHA;
  for (let begin = 0; begin < n; ) {
    let end = begin;
    let hasArea = false;
    do {
      hasArea ||= maximum[end]! > high[end]! || minimum[end]! < low[end]!;
      end++;
    } while (end < n && isBroken[end] === 0);
    const isDense = end - begin > 1 && (x[end - 1]! - x[begin]!) / (end - 1 - begin) < DENSE_PX;
    if (hasArea && isDense) drawBandBars(ctx, columns, begin, end, left, y);
    else if (hasArea) drawBandArea(ctx, columns, begin, end, left, y);
    begin = end;
  }
  ctx.globalAlpha = 1;
}

function drawBandBars(ctx: CanvasRenderingContext2D, columns: PixelColumns, begin: number, end: number, left: number, y: Place): void {
  const { x, minimum, maximum } = columns;
  for (let i = begin; i < end; i++) {
    const px = Math.floor(left + x[i]!);
    const next = i + 1 < end ? Math.floor(left + x[i + 1]!) : px + 1;
    const top = y(maximum[i]!);
    ctx.fillRect(px, top, next - px, y(minimum[i]!) - top);
  }
}

function drawBandArea(ctx: CanvasRenderingContext2D, columns: PixelColumns, begin: number, end: number, left: number, y: Place): void {
  const path = new Path2D();
  for (let i = begin; i < end; i++) path.lineTo(left + columns.x[i]!, y(columns.maximum[i]!));
  for (let i = end - 1; i >= begin; i--) path.lineTo(left + columns.x[i]!, y(columns.minimum[i]!));
  path.closePath();
  ctx.fill(path);
  // The outline keeps a spike visible that is narrower than a pixel.
  ctx.lineWidth = 1;
  ctx.stroke(path);
}

function drawLine(ctx: CanvasRenderingContext2D, columns: PixelColumns, left: number, y: Place, style: CurveStyle): void {
  const { n, x, xLast, first, low, high, last, isBroken, isSingle } = columns;
  const pen = new Pen();
  for (let i = 0; i < n; i++) {
    const px = left + x[i]!;
    const yFirst = y(first[i]!);
    const isJoined = isBroken[i] === 0;
    if (!isJoined) pen.move(px, yFirst);
    else {
      if (style.isStep) pen.line(px, y(last[i - 1]!));
      pen.line(px, yFirst);
    }
    if (isSingle[i] === 1) continue;
    const yLast = y(last[i]!);
    const top = y(high[i]!);
    const bottom = y(low[i]!);
    const pxLast = left + xLast[i]!;
    if (Math.min(yFirst, yLast) - top > SWING_PX || bottom - Math.max(yFirst, yLast) > SWING_PX) {
      // Whole pixels: without smoothed edges, thousands of bars cost next to nothing.
      const barTop = Math.floor(top - style.widthPx / 2);
      ctx.fillRect(Math.floor(px), barTop, Math.max(1, Math.ceil(pxLast - px)), Math.ceil(bottom + style.widthPx / 2) - barTop);
      pen.move(pxLast, yLast);
      continue;
    }
    if (style.isStep) pen.line(pxLast, yFirst);
    pen.line(pxLast, yLast);
  }
  ctx.lineWidth = style.widthPx;
  ctx.stroke(pen.finish());
}

/**
 * A path that leaves out points within TOLERANCE_PX of the line without them: a smooth curve needs a fraction of its
 * points, and strokes cost by the point. From the last point kept, a cone of directions holds all points since.
 */
export class Pen {
  private static readonly TOLERANCE_PX = 0.3;
  private readonly path = new Path2D();
  private keptX = 0;
  private keptY = 0;
  private lowest = -Infinity;
  private highest = Infinity;
  private pendingX = 0;
  private pendingY = 0;
  private hasPending = false;

  move(x: number, y: number): void {
    this.flush();
    this.path.moveTo(x, y);
    this.keep(x, y);
  }

  line(x: number, y: number): void {
    const dx = x - this.keptX;
    if (this.hasPending) {
      const slope = dx > 0 ? (y - this.keptY) / dx : NaN;
      if (!(slope >= this.lowest && slope <= this.highest)) {
        this.path.lineTo(this.pendingX, this.pendingY);
        this.keep(this.pendingX, this.pendingY);
      }
    }
    const away = x - this.keptX;
    if (away > 0) {
      this.lowest = Math.max(this.lowest, (y - Pen.TOLERANCE_PX - this.keptY) / away);
      this.highest = Math.min(this.highest, (y + Pen.TOLERANCE_PX - this.keptY) / away);
    } else {
      this.lowest = Infinity; // Straight up or down: the next point begins anew from here.
    }
    this.pendingX = x;
    this.pendingY = y;
    this.hasPending = true;
  }

  finish(): Path2D {
    this.flush();
    return this.path;
  }

  private flush(): void {
    if (this.hasPending) this.path.lineTo(this.pendingX, this.pendingY);
    this.hasPending = false;
  }

  private keep(x: number, y: number): void {
    this.keptX = x;
    this.keptY = y;
    this.lowest = -Infinity;
    this.highest = Infinity;
    this.hasPending = false;
  }
}

function drawDots(ctx: CanvasRenderingContext2D, columns: PixelColumns, left: number, y: Place, widthPx: number): void {
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
