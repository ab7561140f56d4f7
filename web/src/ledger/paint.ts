import type { ThemeName } from "../app/theme.svelte";
import type { TimeRange } from "../time/timeRange";
import type { Ledger, Looks, State } from "./ledger";

interface Ink {
  readonly paper: string;
  readonly ink: string;
}

/** Colours that differ in lightness as well as in hue (after Okabe and Ito); the patterns tell them apart without any. */
const INKS: Record<ThemeName, Record<State, Ink>> = {
  light: {
    live: { paper: "#7db3dd", ink: "#7db3dd" },
    backfilled: { paper: "#e3eff9", ink: "#0061a8" },
    missing: { paper: "#ffffff", ink: "#8a5a00" },
    lost: { paper: "#c43d00", ink: "#3a0d00" },
  },
  dark: {
    live: { paper: "#2f78b0", ink: "#2f78b0" },
    backfilled: { paper: "#12283a", ink: "#7cc0f5" },
    missing: { paper: "#131920", ink: "#f0b23c" },
    lost: { paper: "#ff7043", ink: "#3a0d00" },
  },
  sunlight: {
    live: { paper: "#5aa3dc", ink: "#5aa3dc" },
    backfilled: { paper: "#ffffff", ink: "#00407a" },
    missing: { paper: "#ffffff", ink: "#5a3a00" },
    lost: { paper: "#a00000", ink: "#ffffff" },
  },
};
const TILE_PX = 6;
/** The worse part of a bucket that is not all bad: so much of the height, from the top. */
const WORSE_PART = 0.55;

export type Patterns = Record<State, CanvasPattern | string>;

/** Solid, stripes, dots, and a lattice. `ratio`: device pixels per pixel. */
export function patternsOf(context: CanvasRenderingContext2D, theme: ThemeName, ratio: number): Patterns {
  const make = (state: State): CanvasPattern | string => {
    const { paper, ink } = INKS[theme][state];
    if (state === "live") return paper;
    const size = Math.round(TILE_PX * ratio);
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const pen = tile.getContext("2d")!;
    pen.fillStyle = paper;
    pen.fillRect(0, 0, size, size);
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = 1.4 * ratio;
    if (state === "missing") pen.fillRect(0, 0, size / 2.4, size / 2.4);
    else {
      line(pen, -1, size / 2 + 1, size / 2 + 1, -1);
      line(pen, size / 2 - 1, size + 1, size + 1, size / 2 - 1);
      if (state === "lost") {
        line(pen, size / 2 - 1, -1, size + 1, size / 2 + 1);
        line(pen, -1, size / 2 - 1, size / 2 + 1, size + 1);
      }
    }
    return context.createPattern(tile, "repeat") ?? ink;
  };
  return { live: make("live"), backfilled: make("backfilled"), missing: make("missing"), lost: make("lost") };
}

/** Draws what of the ledger lies in `range` over the whole canvas; `looks` are those of its buckets. */
export function paint(context: CanvasRenderingContext2D, ledger: Ledger, looks: readonly Looks[], range: TimeRange, patterns: Patterns): void {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  const perUs = width / (range.toUs - range.fromUs);
  const last = ledger.live.length - 1;
  const first = Math.max(0, Math.floor((range.fromUs - ledger.from_utc_us) / ledger.bucket_us));
  const end = Math.min(last, Math.floor((range.toUs - ledger.from_utc_us) / ledger.bucket_us));
  for (let i = first; i <= end; i++) {
    const { main, worse } = looks[i]!;
    const fromUs = ledger.from_utc_us + i * ledger.bucket_us;
    const left = Math.round((fromUs - range.fromUs) * perUs);
    const wide = Math.max(1, Math.round((fromUs + ledger.bucket_us - range.fromUs) * perUs) - left);
    if (main !== null) {
      context.fillStyle = patterns[main];
      context.fillRect(left, 0, wide, height);
    }
    if (worse !== null) {
      context.fillStyle = patterns[worse];
      context.fillRect(left, 0, wide, main === null ? height : Math.ceil(height * WORSE_PART));
    }
  }
}

function line(pen: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}
