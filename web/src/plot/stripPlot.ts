import uPlot from "uplot";
import type { CanvasColours } from "../app/theme.svelte";
import type { TimeRange } from "../time/timeRange";
import type { Choice } from "../protocol/messages";
import type { ColumnsAnswer, Frame } from "../query/query";
import type { Marker } from "../time/markers.svelte";
import type { Conversion } from "../units/units";
import { PixelColumns } from "./columnise";
import { drawCurve } from "./curve";
import { drawAnchor, drawMarkers, drawPreviews } from "./marks";
import { decimalsOfStep, formatChoice, formatNumber, formatTime } from "./format";
import { isDense, Raster } from "./raster";
import { niceRange, steadyRange, type Range } from "./range";

export interface PlotSeries {
  readonly name: string;
  /** The unit that is shown, in the person's language. */
  readonly unit: string;
  readonly conversion: Conversion;
  readonly isStep: boolean;
  readonly choices: readonly Choice[];
  readonly colour: string;
}

export interface StripPlotOptions {
  readonly series: readonly PlotSeries[];
  readonly colours: CanvasColours;
  readonly language: string;
  /** Axes of the chart with the most of them: all charts begin at the same x. */
  readonly axisSlots: number;
  readonly maxAxes: number;
  readonly markers: () => readonly Marker[];
  readonly previewsFromUs: () => number | null;
  readonly isPaused: () => boolean;
  readonly onSelect: (range: TimeRange) => void;
  readonly onWhole: () => void;
  readonly onCursor: (us: number | null) => void;
  readonly onZoom: (factor: number, aboutUs: number) => void;
  readonly onPan: (fraction: number) => void;
}

/** A y axis: the series that share a unit, or a value table. */
interface YScale {
  readonly key: string;
  readonly unit: string;
  readonly choices: readonly Choice[];
  readonly colour: string | null;
  range: Range | null;
}

/** Round distances of time labels. */
const TIME_STEPS_S = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60),
  ...[1, 2, 3, 6, 12, 24].map((hours) => hours * 3600),
];
const SYNC_KEY = "ved";
const MIN_SELECT_PX = 6;
/** A finger that moves less taps. */
const MIN_PAN_PX = 8;
const FONT = "12px system-ui, sans-serif";
/** Above the plot: the unit of each axis, clear of the topmost number. */
const TOP_PX = 24;
/** Half of a time label, which may stand at the right end. */
const RIGHT_PX = 28;

export function scaleKeyOf(series: Pick<PlotSeries, "conversion" | "isStep" | "choices">): string {
  if (series.choices.length > 0) return `choices ${JSON.stringify(series.choices)}`;
  return `${series.isStep ? "discrete" : "continuous"} ${series.conversion.unit}`;
}

/** Number of y axes that these series need. */
export function axesOf(series: readonly Pick<PlotSeries, "conversion" | "isStep" | "choices">[], maxAxes: number): number {
  return Math.min(new Set(series.map(scaleKeyOf)).size, maxAxes);
}

/**
 * A strip chart. uPlot gives axes, grid, cursor and selection; the curves are drawn from the buffers of the channels, each
 * with times of its own, straight onto uPlot's canvas.
 */
export class StripPlot {
  private readonly plot: uPlot;
  private readonly scales: YScale[];
  private columns: readonly PixelColumns[] = [];
  private frame: Frame | null = null;
  private readonly raster = new Raster();
  private readonly bitmap = document.createElement("canvas");
  /** The pointer rests, but stands for another time now. */
  private isCursorOld = false;
  private touch: { readonly id: number; readonly fromX: number; x: number; isPan: boolean } | null = null;
  /** The last pointer on any chart was a finger: it does not rest there as a mouse does. */
  private static isTouched = false;

  constructor(
    root: HTMLElement,
    width: number,
    height: number,
    private readonly options: StripPlotOptions,
  ) {
    this.scales = scalesOf(options.series);
    this.plot = new uPlot(this.uplotOptions(width, height), [[0, 1]], root);
    this.listen(this.plot.over);
  }

  resize(width: number, height: number): void {
    this.plot.setSize({ width, height });
  }

  /** Device pixels of the time axis. */
  get widthPx(): number {
    return Math.round(this.plot.bbox.width);
  }

  /** Takes the curves of a frame; gives back those that they replace. */
  take(answer: ColumnsAnswer, frame: Frame): ColumnsAnswer {
    const before = this.columns.map((columns) => columns.pack());
    this.columns = answer.map((packed) => new PixelColumns(packed ?? undefined));
    this.options.series.forEach((series, i) => this.columns[i]?.convert(series.conversion.factor, series.conversion.offset));
    this.frame = frame;
    return before;
  }

  /** Draws the curves taken last. */
  draw(): void {
    if (this.frame === null || !Number.isFinite(this.frame.fromUs) || this.plot.bbox.width <= 0) return;
    for (const scale of this.scales) scale.range = this.rangeOf(scale);
    this.plot.setScale("x", { min: this.frame.fromUs / 1e6, max: this.frame.toUs / 1e6 });
    if (!this.isCursorOld) return;
    this.isCursorOld = false;
    queueMicrotask(() => this.publishCursor()); // After all charts have taken over the range.
  }

  private publishCursor(): void {
    const { left = -1, top = -1 } = this.plot.cursor;
    this.pointAt(left, top);
  }

  private pointAt(left: number, top: number): void {
    // The third argument, which the types leave out, moves the cursors of the other charts too.
    const setCursor: (at: { left: number; top: number }, fire: boolean, publish: boolean) => void = this.plot.setCursor;
    setCursor({ left, top }, true, true);
  }

  destroy(): void {
    this.plot.destroy();
  }

  private rangeOf(scale: YScale): Range {
    let minimum = Infinity;
    let maximum = -Infinity;
    for (const [i, series] of this.options.series.entries()) {
      const columns = this.columns[i];
      if (columns === undefined || scaleKeyOf(series) !== scale.key) continue;
      for (let c = 0; c < columns.n; c++) {
        // Infinities are data, but no axis can hold them.
        if (columns.minimum[c]! < minimum && columns.minimum[c]! > -Infinity) minimum = columns.minimum[c]!;
        if (columns.maximum[c]! > maximum && columns.maximum[c]! < Infinity) maximum = columns.maximum[c]!;
      }
    }
    if (scale.choices.length > 0) {
      const numbers = scale.choices.map(([number]) => number).filter((number) => number >= minimum - 1 && number <= maximum + 1);
      return { low: Math.min(minimum, ...numbers, 0) - 0.25, high: Math.max(maximum, ...numbers, 1) + 0.25 };
    }
    if (minimum > maximum) return scale.range ?? { low: 0, high: 1 };
    return steadyRange(scale.range, niceRange(minimum, maximum));
  }

  private drawSeries(plot: uPlot): void {
    const { left, top, width, height } = plot.bbox;
    const ctx = plot.ctx;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    this.drawCurves(ctx, left, top, width, height);
    if (this.frame !== null) {
      const box = { left, top, width, height, ratio: uPlot.pxRatio };
      drawPreviews(ctx, this.options.previewsFromUs(), this.frame, box, this.options.colours);
      drawMarkers(ctx, this.options.markers(), this.frame, box, this.options.colours);
      drawAnchor(ctx, this.frame, box, this.options.colours);
    }
    ctx.restore();
    this.drawUnits(plot);
  }

  /** Dense curves pixel by pixel, then thin ones with strokes. */
  private drawCurves(ctx: CanvasRenderingContext2D, left: number, top: number, width: number, height: number): void {
    const widthPx = this.options.colours.lineWidth * uPlot.pxRatio;
    const [columnsPx, rowsPx] = [Math.round(width), Math.round(height)];
    this.raster.begin(columnsPx, rowsPx);
    const thin: (() => void)[] = [];
    this.options.series.forEach((series, i) => {
      const range = this.scales.find((scale) => scale.key === scaleKeyOf(series))?.range;
      const columns = this.columns[i];
      if (!range || columns === undefined || columns.n === 0) return;
      if (isDense(columns)) this.raster.curve(columns, series.colour, { ...range, widthPx, isStep: series.isStep });
      else thin.push(() => drawCurve(ctx, columns, { leftPx: left, topPx: top, heightPx: height, ...range }, { colour: series.colour, widthPx, isStep: series.isStep }));
    });
    if (!this.raster.isEmpty) {
      if (this.bitmap.width !== columnsPx || this.bitmap.height !== rowsPx) Object.assign(this.bitmap, { width: columnsPx, height: rowsPx });
      this.bitmap.getContext("2d")?.putImageData(new ImageData(this.raster.pixels, columnsPx, rowsPx), 0, 0);
      ctx.drawImage(this.bitmap, Math.round(left), Math.round(top));
    }
    for (const draw of thin) draw();
  }

  /** The unit of each axis stands above it. */
  private drawUnits(plot: uPlot): void {
    const ctx = plot.ctx;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.font = FONT.replace("12px", `${12 * ratio}px`);
    ctx.textBaseline = "alphabetic";
    ctx.textAlign = "right";
    this.visibleScales().forEach((scale, i) => {
      ctx.fillStyle = scale.colour ?? this.options.colours.text;
      ctx.fillText(shortened(scale.unit), plot.bbox.left - (i * this.axisPx() + 8) * ratio, plot.bbox.top - 11 * ratio);
    });
    ctx.restore();
  }

  private visibleScales(): YScale[] {
    return this.scales.slice(0, this.options.maxAxes);
  }

  private axisPx(): number {
    return this.options.maxAxes === 1 ? 48 : 56;
  }

  private uplotOptions(width: number, height: number): uPlot.Options {
    const { colours, axisSlots } = this.options;
    const visible = this.visibleScales();
    const padLeft = (Math.max(axisSlots, 1) - Math.max(visible.length, 0)) * this.axisPx();
    const common = { stroke: colours.text, font: FONT, grid: { stroke: colours.grid, width: 1 }, ticks: { stroke: colours.grid, width: 1, size: 4 } };
    const xAxis: uPlot.Axis = { ...common, size: 26, gap: 3, space: 90, incrs: [...TIME_STEPS_S], values: (_, splits) => timeLabels(splits) };
    const scales: Record<string, uPlot.Scale> = { x: { time: true, auto: false, range: (_, min, max) => [min, max] } };
    for (const scale of this.scales) scales[scale.key] = { range: () => [scale.range?.low ?? 0, scale.range?.high ?? 1] };
    return {
      width,
      height,
      padding: [TOP_PX, RIGHT_PX, 0, Math.max(0, padLeft)],
      legend: { show: false },
      series: [{}],
      scales,
      axes: [xAxis, ...visible.map((scale, i) => this.yAxis(scale, common, i === 0))],
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false },
        sync: { key: SYNC_KEY, scales: ["x", null] },
        bind: {
          dblclick: () => () => {
            this.options.onWhole();
            return null;
          },
        },
      },
      hooks: {
        draw: [(plot) => this.drawSeries(plot)],
        setSelect: [(plot) => this.selected(plot)],
        setCursor: [(plot) => this.cursorMoved(plot)],
      },
    };
  }

  private yAxis(scale: YScale, common: Partial<uPlot.Axis>, hasGrid: boolean): uPlot.Axis {
    const stroke = scale.colour ?? this.options.colours.text;
    const base: uPlot.Axis = { ...common, scale: scale.key, side: 3, stroke, size: this.axisPx(), gap: 3, space: 22 };
    base.grid = { ...common.grid, show: hasGrid };
    if (scale.choices.length === 0) {
      base.values = (_, splits, __, ___, increment) => splits.map((value) => formatNumber(value, decimalsOfStep(increment), this.options.language));
      return base;
    }
    const numbers = scale.choices.map(([number]) => number);
    base.splits = (_, __, min, max) => numbers.filter((number) => number >= min && number <= max);
    base.values = (_, splits) => splits.map((value) => shortened(formatChoice(value, scale.choices) ?? String(value)));
    return base;
  }

  private selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width === 0) return;
    const fromUs = plot.posToVal(left, "x") * 1e6;
    const toUs = plot.posToVal(left + width, "x") * 1e6;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width < MIN_SELECT_PX) return;
    this.options.onSelect({ fromUs, toUs });
    this.isCursorOld = true;
  }

  private cursorMoved(plot: uPlot): void {
    const left = plot.cursor.left ?? -1;
    if (left >= 0 && StripPlot.isTouched && !this.options.isPaused()) {
      queueMicrotask(() => plot.setCursor({ left: -10, top: -10 }, true));
      return;
    }
    this.options.onCursor(left < 0 ? null : plot.posToVal(left, "x") * 1e6);
  }

  private listen(over: HTMLElement): void {
    over.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const us = this.plot.posToVal(event.clientX - over.getBoundingClientRect().left, "x") * 1e6;
        this.options.onZoom(event.deltaY > 0 ? 1.25 : 0.8, us);
      },
      { passive: false },
    );
    over.addEventListener("pointerdown", (event) => {
      StripPlot.isTouched = event.pointerType === "touch";
      if (StripPlot.isTouched) this.touch = { id: event.pointerId, fromX: event.clientX, x: event.clientX, isPan: this.options.isPaused() };
    });
    over.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") StripPlot.isTouched = false;
      if (this.touch?.id !== event.pointerId) return;
      this.touch.isPan ||= Math.abs(event.clientX - this.touch.x) >= MIN_PAN_PX;
      if (!this.touch.isPan) return;
      this.options.onPan((this.touch.x - event.clientX) / over.clientWidth);
      this.touch.x = event.clientX;
    });
    over.addEventListener("pointerup", (event) => {
      // A browser makes no mouse of a tap that comes soon after a drag: it only ends the fling of that.
      const isTap = this.touch?.id === event.pointerId && Math.abs(event.clientX - this.touch.fromX) < MIN_PAN_PX;
      this.touch = null;
      if (!isTap || !this.options.isPaused()) return;
      const box = over.getBoundingClientRect();
      this.pointAt(event.clientX - box.left, event.clientY - box.top);
    });
    over.addEventListener("pointercancel", () => (this.touch = null));
  }
}

function scalesOf(series: readonly PlotSeries[]): YScale[] {
  const scales = new Map<string, PlotSeries[]>();
  for (const item of series) {
    const key = scaleKeyOf(item);
    scales.set(key, [...(scales.get(key) ?? []), item]);
  }
  return [...scales].map(([key, [first, ...others]]) => ({
    key,
    unit: first!.unit,
    choices: first!.choices,
    colour: others.length === 0 && scales.size > 1 ? first!.colour : null,
    range: null,
  }));
}

function timeLabels(splits: readonly number[]): string[] {
  const step = splits.length > 1 ? splits[1]! - splits[0]! : 1;
  const decimals = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
  // Rounded up by half a millisecond: a split of .300 s may stand at .29999 in binary.
  return splits.map((seconds) => formatTime(seconds * 1e6 + 500, decimals));
}

const shortened = (text: string): string => (text.length > 7 ? `${text.slice(0, 6)}…` : text);
