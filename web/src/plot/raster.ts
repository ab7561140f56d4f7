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

/** Parts of a pixel. Rows and opacity count in them: V8 makes an object of each number with a fraction that it passes on. */
const PARTS = 256;
const BAND_ALPHA = 77;
/** Rows further away than this, in parts, are drawn as if they were here: outside of any chart. */
const FAR = 1 << 24;
/** Red comes first in memory: all machines with a browser store the lowest byte first. */
const OPAQUE = 255 << 24;
/** Columns further apart than this, on average, are joined by strokes instead. */
const DENSE_PX = 1.3;

type Rgb = readonly [number, number, number];

/** True when the columns stand so near to each other that runs of pixels draw them. */
export function isDense(columns: PixelColumns): boolean {
  const { n, x } = columns;
  return n > 2 && (x[n - 1]! - x[0]!) / (n - 1) <= DENSE_PX;
}

/** Red, green and blue of `#rrggbb`. */
export function rgbOf(colour: string): Rgb {
  const number = Number.parseInt(colour.slice(1), 16);
  return [(number >> 16) & 255, (number >> 8) & 255, number & 255];
}

/** Where the columns of one curve lie: pixels from the left, and rows from the top in parts. */
class Places {
  private capacity = 0;
  px = new Int32Array(0);
  first = new Int32Array(0);
  low = new Int32Array(0);
  high = new Int32Array(0);
  last = new Int32Array(0);
  minimum = new Int32Array(0);
  maximum = new Int32Array(0);

  take(columns: PixelColumns, height: number, { low, high }: RasterFrame): void {
    if (columns.n > this.capacity) this.grow(2 * columns.n);
    for (let i = 0; i < columns.n; i++) this.px[i] = Math.floor(columns.x[i]!);
    const scale = (PARTS * height) / (high - low);
    for (const name of ["first", "low", "high", "last", "minimum", "maximum"] as const) {
      const [values, rows] = [columns[name], this[name]];
      for (let i = 0; i < columns.n; i++) rows[i] = Math.max(-FAR, Math.min(FAR, Math.round(PARTS * height - (values[i]! - low) * scale)));
    }
  }

  private grow(capacity: number): void {
    this.capacity = capacity;
    for (const name of ["px", "first", "low", "high", "last", "minimum", "maximum"] as const) this[name] = new Int32Array(capacity);
  }
}

export class Raster {
  width = 0;
  height = 0;
  /** RGBA, not premultiplied. */
  pixels = new Uint8ClampedArray(0);
  /** The same, a pixel each. */
  private whole = new Uint32Array(0);
  isEmpty = true;
  private readonly places = new Places();

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
    this.places.take(columns, this.height, frame);
    const rgb = rgbOf(colour);
    const width = Math.round(frame.widthPx * PARTS);
    for (let i = 0; i < columns.n; i++) {
      if (columns.maximum[i]! > columns.high[i]! || columns.minimum[i]! < columns.low[i]!) this.spread(columns, i, rgb);
    }
    const { px, first, low, high, last } = this.places;
    // From the right: what a steep run adds to its right is mostly covered already.
    for (let i = columns.n - 1; i >= 0; i--) {
      const isFirst = i === 0 || columns.isBroken[i] === 1;
      const isLast = i + 1 === columns.n || columns.isBroken[i + 1] === 1;
      // Half of the way from the column before and to the next one, so that steep lines are whole.
      const before = isFirst || px[i]! - px[i - 1]! > 1 ? first[i]! : (last[i - 1]! + first[i]!) >> 1;
      const after = isLast || px[i + 1]! - px[i]! > 1 ? last[i]! : (last[i]! + first[i + 1]!) >> 1;
      this.stroke(px[i]!, Math.min(high[i]!, before, after), Math.max(low[i]!, before, after), rgb, width);
      if (!isLast) this.bridge(i, rgb, width, frame.isStep);
    }
    this.isEmpty = false;
  }

  /** The line over the pixels between a column and the next one, where these are no neighbours. */
  private bridge(i: number, rgb: Rgb, width: number, isStep: boolean): void {
    const { px, first, last } = this.places;
    const distance = px[i + 1]! - px[i]!;
    const from = last[i]!;
    const end = first[i + 1]!;
    const to = isStep ? from : end;
    for (let k = 1; k < distance; k++) {
      const here = Math.round(from + ((to - from) * k) / distance) | 0;
      const next = Math.round(from + ((to - from) * (k + 1)) / distance) | 0;
      this.stroke(px[i]! + k, Math.min(here, next), Math.max(here, next), rgb, width);
    }
    if (isStep && distance > 1) this.stroke(px[i + 1]!, Math.min(from, end), Math.max(from, end), rgb, width);
  }

  /** A run as thick as the line; a steep one is so to the side, too. */
  private stroke(px: number, top: number, bottom: number, rgb: Rgb, width: number): void {
    if (px < 0 || px >= this.width) return;
    const half = width >> 1;
    this.run(px, top - half, bottom + half, rgb, PARTS);
    if (width > PARTS && 2 * (bottom - top) > width && px + 1 < this.width) this.run(px + 1, top - half, bottom + half, rgb, Math.min(PARTS, width - PARTS));
  }

  /** The band over the pixels from this column to the next one. */
  private spread({ n, isBroken }: PixelColumns, i: number, rgb: Rgb): void {
    const { px, minimum, maximum } = this.places;
    const from = Math.max(0, px[i]!);
    const isJoined = i + 1 < n && isBroken[i + 1] === 0;
    const to = Math.min(this.width, isJoined ? Math.max(from + 1, px[i + 1]!) : from + 1);
    for (let k = from; k < to; k++) this.run(k, maximum[i]!, minimum[i]!, rgb, BAND_ALPHA);
  }

  private run(px: number, top: number, bottom: number, rgb: Rgb, alpha: number): void {
    const from = Math.max(0, Math.floor(top / PARTS) | 0);
    const to = Math.min(this.height, Math.ceil(bottom / PARTS) | 0);
    const opaque = OPAQUE | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0];
    const { whole, width } = this;
    for (let py = from, at = from * width + px; py < to; py++, at += width) {
      if ((whole[at]! | 0) === opaque) continue;
      const covered = (Math.min(bottom, (py + 1) * PARTS) - Math.max(top, py * PARTS)) * alpha;
      if (covered >= PARTS * PARTS) whole[at] = opaque;
      else this.blend(at * 4, rgb, covered);
    }
  }

  /** `covered`: opacity in PARTS². */
  private blend(at: number, [red, green, blue]: Rgb, covered: number): void {
    const { pixels } = this;
    const alpha = covered / (PARTS * PARTS);
    const below = (pixels[at + 3]! / 255) * (1 - alpha);
    const sum = alpha + below;
    pixels[at] = (red * alpha + pixels[at]! * below) / sum;
    pixels[at + 1] = (green * alpha + pixels[at + 1]! * below) / sum;
    pixels[at + 2] = (blue * alpha + pixels[at + 2]! * below) / sum;
    pixels[at + 3] = sum * 255;
  }
}
