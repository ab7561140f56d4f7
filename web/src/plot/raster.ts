import type { PixelColumns } from "./columnise";

/**
 * Curves with about one column per pixel, set pixel by pixel: some ten times cheaper than the strokes and bars of a canvas
 * without a graphics card. Each column is a vertical run with soft ends; thinner curves are for `drawCurve`.
 */
export interface RasterFrame {
  readonly low: number;
  readonly high: number;
  readonly widthPx: number;
}

const BAND_ALPHA = 0.3;
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
  isEmpty = true;

  begin(width: number, height: number): void {
    if (width !== this.width || height !== this.height) {
      this.width = width;
      this.height = height;
      this.pixels = new Uint8ClampedArray(width * height * 4);
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
    const half = frame.widthPx / 2;
    for (let i = 0; i < n; i++) {
      let top = y(high[i]!);
      let bottom = y(low[i]!);
      if (i > 0 && columns.isBroken[i] === 0 && x[i]! - x[i - 1]! < 2) {
        // Half of the way from the column before, so that steep lines are whole.
        const middle = (y(columns.last[i - 1]!) + y(columns.first[i]!)) / 2;
        top = Math.min(top, middle);
        bottom = Math.max(bottom, middle);
      }
      if (i + 1 < n && columns.isBroken[i + 1] === 0 && x[i + 1]! - x[i]! < 2) {
        const middle = (y(columns.last[i]!) + y(columns.first[i + 1]!)) / 2;
        top = Math.min(top, middle);
        bottom = Math.max(bottom, middle);
      }
      this.spread(columns, i, top - half, bottom + half, rgb, 1);
      // A steep line is as thick as a level one.
      const px = Math.floor(x[i]!) + 1;
      if (bottom - top > frame.widthPx && px < this.width) this.run(px, top, bottom, rgb, Math.min(1, frame.widthPx - 1));
    }
    this.isEmpty = false;
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
    for (let py = first; py <= last; py++) {
      const covered = Math.min(bottom, py + 1) - Math.max(top, py);
      this.blend((py * this.width + px) * 4, rgb, covered >= 1 ? alpha : covered * alpha);
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
