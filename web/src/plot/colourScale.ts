/** A scale from dark blue over green to yellow whose brightness grows evenly: it reads without colour vision, too. */
const STOPS = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
] as const;
const STEPS = 64;

function mixed(part: number): readonly [number, number, number] {
  const place = Math.min(0.9999, Math.max(0, part)) * (STOPS.length - 1);
  const [from, to] = [STOPS[Math.floor(place)]!, STOPS[Math.floor(place) + 1]!];
  const f = place % 1;
  return [0, 1, 2].map((k) => Math.round(from[k]! + (to[k]! - from[k]!) * f)) as unknown as readonly [number, number, number];
}

const SCALE = Array.from({ length: STEPS }, (_, i) => mixed(i / (STEPS - 1)));
const COLOURS = SCALE.map(([r, g, b]) => `rgb(${r} ${g} ${b})`);
const linear = (part: number): number => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
/** Black above the luminance at which both have the same contrast (WCAG). */
const INKS = SCALE.map(([r, g, b]) => (0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255) > 0.179 ? "#000" : "#fff"));

const stepOf = (part: number): number => Math.round(Math.min(1, Math.max(0, part)) * (STEPS - 1));

/** Colour of a part from 0 to 1; `other` for a value that is none. */
export function scaleColour(part: number, other: string): string {
  return Number.isNaN(part) ? other : COLOURS[stepOf(part)]!;
}

/** The colour of writing that can be read on it. */
export function scaleInk(part: number): string {
  return INKS[stepOf(part)]!;
}

export interface Scale {
  readonly low: number;
  readonly high: number;
}

/** The least and greatest of what is finite; null where nothing is. */
export function scaleOf(values: Iterable<number>): Scale | null {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low && value > -Infinity) low = value;
    if (value > high && value < Infinity) high = value;
  }
  return low <= high ? { low, high } : null;
}

export const partOf = (value: number, scale: Scale): number => (scale.high > scale.low ? (value - scale.low) / (scale.high - scale.low) : 0.5 + 0 * value);
