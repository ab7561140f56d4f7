import type { ChannelBuffer } from "../buffer/channelBuffer";
import type { PackedColumns } from "../plot/columnise";

/** Questions about the samples, and their answers: plain data, so that they pass between threads. */

export interface ColumnsQuery {
  readonly kind: "columns";
  readonly channels: readonly string[];
  /** Device pixels of the plot. */
  readonly width: number;
}
export interface ValuesQuery {
  readonly kind: "values";
  readonly channels: readonly string[];
  /** Also minimum, maximum and mean of what is in view, and the value at the second cursor. */
  readonly hasStatistics: boolean;
}
export interface TrackQuery {
  readonly kind: "track";
  readonly latitude: string;
  readonly longitude: string;
  readonly valid: string | null;
  readonly colour: string | null;
}
export interface PairsQuery {
  readonly kind: "pairs";
  readonly x: string;
  readonly y: string;
  readonly colour: string | null;
}
export interface HistogramQuery {
  readonly kind: "histogram";
  readonly channel: string;
  readonly bins: number;
}
export type Query = ColumnsQuery | ValuesQuery | TrackQuery | PairsQuery | HistogramQuery;

/** One entry per channel; null for a channel without samples. */
export type ColumnsAnswer = readonly (PackedColumns | null)[];

export interface Reading {
  /** Time of the sample that holds at the reading time. */
  readonly us: number;
  readonly value: number;
  /** No sample for so long that the channel must have stopped. */
  readonly isOld: boolean;
  /** The greatest magnitude among the samples held: gives the decimals. */
  readonly size: number;
  readonly statistics: Statistics | null;
}
export interface Statistics {
  readonly minimum: number;
  readonly maximum: number;
  readonly mean: number;
  /** Value at the second cursor, null without one. */
  readonly anchor: number | null;
}
export type ValuesAnswer = readonly (Reading | null)[];

export interface TrackAnswer {
  readonly n: number;
  readonly times: Float64Array;
  readonly latitudes: Float64Array;
  readonly longitudes: Float64Array;
  readonly isBroken: Uint8Array;
  /** Value of the colour channel at each position, NaN where there is none; empty without such a channel. */
  readonly colours: Float64Array;
}
export interface PairsAnswer {
  readonly n: number;
  readonly times: Float64Array;
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly colours: Float64Array;
}
export interface HistogramAnswer {
  /** Seconds that the channel spent in each bin. */
  readonly seconds: Float64Array;
  readonly low: number;
  readonly high: number;
}

export interface Answers {
  readonly columns: ColumnsAnswer;
  readonly values: ValuesAnswer;
  readonly track: TrackAnswer;
  readonly pairs: PairsAnswer;
  readonly histogram: HistogramAnswer;
}
export type AnswerOf<Q extends Query> = Answers[Q["kind"]] | null;

/** The moment for which all questions of a frame are answered. */
export interface Frame {
  /** What is in view. */
  readonly fromUs: number;
  readonly toUs: number;
  /** The start of the whole window. */
  readonly windowFromUs: number;
  /** Where values are read. */
  readonly readUs: number;
  readonly anchorUs: number | null;
}

export type Buffers = (name: string) => ChannelBuffer | undefined;
