import type { OtherMessage, ServerMessage } from "../protocol/messages";
import type { Part } from "../time/closer";
import type { Answers, Frame, Query } from "../query/query";
import type { ConnectionStatus, PastRequest, WatchRequest } from "../source/liveSocket";

/** Between the page and the engine that holds connection and samples, in a worker of its own. */

export type ToEngine =
  | { readonly type: "connect"; readonly url: string }
  | { readonly type: "watch"; readonly request: WatchRequest }
  /** Finer samples of a part of the past; null: none. */
  | { readonly type: "look_back"; readonly request: PastRequest | null }
  | { readonly type: "watch_again" | "retry" | "close" | "reset" | "unfreeze" }
  | { readonly type: "freeze"; readonly edgeUs: number }
  | FrameRequest;

/** Asks for the answers of one frame. */
export interface FrameRequest {
  readonly type: "frame";
  /** null: live, the window of this length up to the edge. */
  readonly frame: Frame | null;
  readonly windowUs: number;
  readonly readUs: number | null;
  readonly anchorUs: number | null;
  readonly questions: readonly (readonly [id: number, query: Query])[];
  /** Memory of columns that are drawn and gone. */
  readonly spent: readonly ArrayBuffer[];
}

export type AnyAnswer = Answers[Query["kind"]] | null;

export interface News {
  readonly edgeUs: number;
  readonly isHistoryComplete: boolean;
  /** The part of the past of which there are finer samples. */
  readonly closer: Part | null;
  /** Requests to watch that the engine has taken. */
  readonly watches: number;
  /** Times that the engine has thrown all samples away. */
  readonly resets: number;
  /** Bytes of samples that were ever received. */
  readonly receivedBytes: number;
}

export type FromEngine =
  | { readonly type: "message"; readonly message: ServerMessage; readonly news: News }
  | { readonly type: "other"; readonly message: OtherMessage }
  | { readonly type: "status"; readonly status: ConnectionStatus }
  | { readonly type: "failure" | "bad" }
  /** Samples arrived; `isNewer`: beyond the edge; `isInView`: not only such that a paused view leaves out. */
  | { readonly type: "fresh"; readonly isNewer: boolean; readonly isInView: boolean; readonly news: News }
  | { readonly type: "frame"; readonly frame: Frame; readonly news: News; readonly answers: readonly (readonly [id: number, answer: AnyAnswer])[] };
