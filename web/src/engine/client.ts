import type { PackedColumns } from "../plot/columnise";
import type { AnswerOf, Frame, Query } from "../query/query";
import { Engine } from "./engine";
import type { AnyAnswer, FrameRequest, FromEngine, ToEngine } from "./messages";

/** A way to the engine: messages out, and a place for those that come back. */
export interface EngineLink {
  send(message: ToEngine, transfer: Transferable[]): void;
  onmessage: (message: FromEngine) => void;
}

/** The engine in its worker; beside the page where there are no workers (tests). */
export function openEngine(): EngineLink {
  if (typeof Worker === "undefined") return directLink();
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const link: EngineLink = { send: (message, transfer) => worker.postMessage(message, transfer), onmessage: () => undefined };
  worker.onmessage = (event: MessageEvent<FromEngine>) => link.onmessage(event.data);
  return link;
}

function directLink(): EngineLink {
  const link: EngineLink = { send: (message) => engine.receive(message), onmessage: () => undefined };
  const engine = new Engine((message) => link.onmessage(message));
  return link;
}

interface View {
  readonly query: Query;
  readonly isSlow: boolean;
  readonly hear: (answer: AnyAnswer, frame: Frame) => void;
  isNew: boolean;
}

/** How often numbers change that a person reads. */
const SLOW_MS = 100;

/** The questions of all panels, asked together once per frame. */
export class Questions {
  private readonly views = new Map<number, View>();
  private nextId = 1;
  private spent: ArrayBuffer[] = [];
  private slowAtMs = -Infinity;
  private readAt = "";

  /**
   * Asks `query` at every frame; `isSlow`: ten times per second, and when the cursor moves. Gives back the end of it.
   * Columns of an answer belong to the hearer until the next answer.
   */
  add<Q extends Query>(query: Q, hear: (answer: AnswerOf<Q>, frame: Frame) => void, isSlow: boolean): () => void {
    const id = this.nextId++;
    this.views.set(id, { query, isSlow, hear: hear as View["hear"], isNew: true });
    return () => this.views.delete(id);
  }

  /** What is to be asked for this frame. */
  request(frame: Omit<FrameRequest, "type" | "questions" | "spent">, nowMs: number): FrameRequest {
    const readAt = `${frame.readUs} ${frame.anchorUs} ${frame.frame?.toUs} ${frame.frame?.fromUs}`;
    const isMoved = frame.frame !== null && readAt !== this.readAt; // Live, it moves with every frame.
    const isSlowDue = isMoved || nowMs - this.slowAtMs >= SLOW_MS;
    if (isSlowDue) this.slowAtMs = nowMs;
    this.readAt = readAt;
    const questions: [number, Query][] = [];
    for (const [id, view] of this.views) if (!view.isSlow || isSlowDue || view.isNew) questions.push([id, view.query]);
    const spent = this.spent;
    this.spent = [];
    return { type: "frame", ...frame, questions, spent };
  }

  /** Brings answers to those who asked. */
  answer(answers: readonly (readonly [id: number, answer: AnyAnswer])[], frame: Frame): void {
    for (const [id, answer] of answers) {
      const view = this.views.get(id);
      if (view === undefined) continue; // Gone in the meantime.
      view.isNew = false;
      view.hear(answer, frame);
    }
  }

  /** Takes back the memory of columns that are no longer drawn. */
  recycle(columns: readonly (PackedColumns | null)[]): void {
    for (const packed of columns) if (packed !== null) this.spent.push(packed.bytes);
  }
}
