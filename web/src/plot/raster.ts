import type { PixelColumns } from "./columnise";

/**
 * Curves with about one column per pixel, set pixel by pixel: some ten times cheaper than the strokes and bars of a canvas
 * without a graphics card. Each column is a vertical run with soft ends; thinner curves are for `drawCurve`.
 */
export interface RasterFrame {
  readonly low: number;
  readonly high: number;
  readonly widthPx: number;
  /** Discrete values hold until the next sample. */
  readonly isStep: boolean;
}

const BAND_ALPHA = 0.3;
/** Red comes first in memory: all machines with a browser store the lowest byte first. */
const OPAQUE = 255 << 24;
/** Columns further apart than this, on average, are joined by strokes instead. */
const DENSE_PX = 1.3;

/** True when the columns stand so near to each other that runs of pixels draw them. */
export function isDense(columns: PixelColumns): boolean {
  const { n, x } = columns;
  return n > 2 && (x[n - 1]! - x[0]!) / (n - 1) <= DENSE_PX;
}

/** Red, green and blue of `#rrggbb`. */
export function rgbOf(colour: string): readonly [number, number, number] {
  const number = Number.parseInt(colour.slice(1), 16);
  return [(number >> 16) & 255, (number >> 8) & 255, number & 255];
}

export class Raster {
  width = 0;
  height = 0;
  /** RGBA, not premultiplied. */
  pixels = new Uint8ClampedArray(0);
  /** The same, a pixel each. */
  private whole = new Uint32Array(0);
  isEmpty = true;

  begin(width: number, height: number): void {
    if (width !== this.width || height !== this.height) {
      this.width = width;
      this.height = height;
      this.pixels = new Uint8ClampedArray(width * height * 4);
      this.whole = new Uint32Array(this.pixels.buffer);
    } else if (!this.isEmpty) this.pixels.fill(0);
    this.isEmpty = true;
  }

  /** The band of minima and maxima, then the line of last values. */
  curve(columns: PixelColumns, colour: string, frame: RasterFrame): void {
    const scale = this.height / (frame.high - frame.low);
    const y = (value: number): number => this.height - (value - frame.low) * scale;
    const rgb = rgbOf(colour);
    const { n, x, minimum, maximum, low, high } = columns;
    for (let i = 0; i < n; i++) {
      if (maximum[i]! > high[i]! || minimum[i]! < low[i]!) this.spread(columns, i, y(maximum[i]!), y(minimum[i]!), rgb, BAND_ALPHA);
    }
    // From the right: what a steep run adds to its right is mostly covered already.
    for (let i = n - 1; i >= 0; i--) {
      const isFirst = i === 0 || columns.isBroken[i] === 1;
      const isLast = i + 1 === n || columns.isBroken[i + 1] === 1;
      // Half of the way from the column before and to the next one, so that steep lines are whole.
      const before = isFirst || this.between(columns, i - 1) > 1 ? y(columns.first[i]!) : (y(columns.last[i - 1]!) + y(columns.first[i]!)) / 2;
      const after = isLast || this.between(columns, i) > 1 ? y(columns.last[i]!) : (y(columns.last[i]!) + y(columns.first[i + 1]!)) / 2;
      this.stroke(Math.floor(x[i]!), Math.min(y(high[i]!), before, after), Math.max(y(low[i]!), before, after), rgb, frame.widthPx);
      if (!isLast) this.bridge(columns, i, y, rgb, frame);
    }
    this.isEmpty = false;
  }

  /** Pixels from a column to the next one. */
  private between({ x }: PixelColumns, i: number): number {
    return Math.floor(x[i + 1]!) - Math.floor(x[i]!);
  }

  /** The line over the pixels between a column and the next one, where these are no neighbours. */
  private bridge(columns: PixelColumns, i: number, y: (value: number) => number, rgb: readonly [number, number, number], frame: RasterFrame): void {
    const distance = this.between(columns, i);
    const from = y(columns.last[i]!);
    const to = frame.isStep ? from : y(columns.first[i + 1]!);
    const start = Math.floor(columns.x[i]!);
    for (let k = 1; k < distance; k++) {
      const here = from + ((to - from) * k) / distance;
      const next = from + ((to - from) * (k + 1)) / distance;
      this.stroke(start + k, Math.min(here, next), Math.max(here, next), rgb, frame.widthPx);
    }
    if (frame.isStep && distance > 1) {
      const end = y(columns.first[i + 1]!);
      this.stroke(start + distance, Math.min(from, end), Math.max(from, end), rgb, frame.widthPx);
    }
  }

  /** A run as thick as the line; a steep one is so to the side, too. */
  private stroke(px: number, top: number, bottom: number, rgb: readonly [number, number, number], widthPx: number): void {
    if (px < 0 || px >= this.width) return;
    this.run(px, top - widthPx / 2, bottom + widthPx / 2, rgb, 1);
    if (bottom > top && bottom - top + widthPx > 1.5 * widthPx && px + 1 < this.width) this.run(px + 1, top - widthPx / 2, bottom + widthPx / 2, rgb, Math.min(1, widthPx - 1));
  }

  /** A run in the pixels from this column to the next one. */
  private spread({ n, x, isBroken }: PixelColumns, i: number, top: number, bottom: number, rgb: readonly [number, number, number], alpha: number): void {
    const from = Math.max(0, Math.floor(x[i]!));
    const isJoined = i + 1 < n && isBroken[i + 1] === 0;
    const to = Math.min(this.width, isJoined ? Math.max(from + 1, Math.floor(x[i + 1]!)) : from + 1);
    for (let px = from; px < to; px++) this.run(px, top, bottom, rgb, alpha);
  }

  private run(px: number, top: number, bottom: number, rgb: readonly [number, number, number], alpha: number): void {
    const first = Math.max(0, Math.floor(top));
    const last = Math.min(this.height - 1, Math.ceil(bottom) - 1);
    const opaque = OPAQUE | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0];
    const { whole, width } = this;
    for (let py = first, at = first * width + px; py <= last; py++, at += width) {
      if ((whole[at]! | 0) === opaque) continue;
      const covered = Math.min(bottom, py + 1) - Math.max(top, py);
      if (covered >= 1 && alpha === 1) whole[at] = opaque;
      else this.blend(at * 4, rgb, covered >= 1 ? alpha : covered * alpha);
    }
  }

  private blend(at: number, [red, green, blue]: readonly [number, number, number], alpha: number): void {
    const { pixels } = this;
    const below = (pixels[at + 3]! / 255) * (1 - alpha);
    const sum = alpha + below;
    pixels[at] = (red * alpha + pixels[at]! * below) / sum;
    pixels[at + 1] = (green * alpha + pixels[at + 1]! * below) / sum;
    pixels[at + 2] = (blue * alpha + pixels[at + 2]! * below) / sum;
    pixels[at + 3] = sum * 255;
  }
}
