import { LiveStore } from "../buffer/liveStore";
import { KIND_INCREMENT, type ColumnsMessage } from "../protocol/columns";
import type { ServerMessage } from "../protocol/messages";
import { ColumnPool, findColumns } from "../query/columns";
import { findHistogram } from "../query/histogram";
import { findPairs } from "../query/pairs";
import type { ColumnsAnswer, Frame, PairsAnswer, Query, TrackAnswer } from "../query/query";
import { findTrack } from "../query/track";
import { readValues } from "../query/values";
import { LiveSocket } from "../source/liveSocket";
import type { AnyAnswer, FrameRequest, FromEngine, News, ToEngine } from "./messages";

type Post = (message: FromEngine, transfer: Transferable[]) => void;

/** What arrives faster than this is told together. */
const FRESH_EVERY_MS = 12;

/** Connection, decoding, samples, and the answers to the panels' questions. Runs in a worker; in tests, beside the page. */
export class Engine {
  private readonly store = new LiveStore();
  private readonly pool = new ColumnPool();
  private socket: LiveSocket | null = null;
  private vehicle = "";
  private watches = 0;
  private receivedBytes = 0;
  private freshTimer: ReturnType<typeof setTimeout> | undefined;
  private isNewer = false;
  private isInView = false;

  constructor(private readonly post: Post) {}

  receive(message: ToEngine): void {
    switch (message.type) {
      case "connect":
        this.socket ??= this.open(message.url);
        this.socket.connect();
        break;
      case "watch":
        this.vehicle = message.request.vehicle;
        this.awaitHistory();
        this.socket?.watch(message.request);
        break;
      case "watch_again":
        this.awaitHistory();
        this.socket?.watchAgain();
        break;
      case "retry":
        this.socket?.retryNow();
        break;
      case "close":
        this.socket?.close();
        break;
      case "reset":
        this.store.reset();
        break;
      case "freeze":
        this.store.freeze(message.edgeUs);
        break;
      case "unfreeze":
        this.store.unfreeze();
        break;
      case "frame":
        this.answer(message);
        break;
    }
  }

  private awaitHistory(): void {
    this.watches++;
    this.store.isHistoryComplete = false;
  }

  private open(url: string): LiveSocket {
    return new LiveSocket(url, {
      onMessage: (message) => this.onMessage(message),
      onOther: (message) => this.post({ type: "other", message }, []),
      onColumns: (message, bytes) => this.onColumns(message, bytes),
      onStatus: (status) => this.post({ type: "status", status }, []),
      onFailure: () => this.post({ type: "failure" }, []),
      onBad: () => this.post({ type: "bad" }, []),
    });
  }

  private onMessage(message: ServerMessage): void {
    if (message.type === "watching") this.store.startWatching(message);
    else if (message.type === "reset") this.store.restart(message.moved ?? null);
    else if (message.type === "state" && message.vehicle === this.vehicle) this.store.raiseEdge(message.edge_utc_us);
    else if (message.type === "error" && message.code === "history_failed") this.store.endHistory();
    this.post({ type: "message", message, news: this.news() }, []);
  }

  private onColumns(message: ColumnsMessage, bytes: number): void {
    this.receivedBytes += bytes;
    const isNewer = this.store.accept(message);
    this.isNewer ||= isNewer && message.kind === KIND_INCREMENT;
    this.isInView ||= this.store.isInView(message);
    this.freshTimer ??= setTimeout(() => {
      this.freshTimer = undefined;
      this.post({ type: "fresh", isNewer: this.isNewer, isInView: this.isInView, news: this.news() }, []);
      this.isNewer = this.isInView = false;
    }, FRESH_EVERY_MS);
  }

  private news(): News {
    return { edgeUs: this.store.edgeUs, isHistoryComplete: this.store.isHistoryComplete, watches: this.watches, receivedBytes: this.receivedBytes };
  }

  private answer(request: FrameRequest): void {
    this.pool.begin(request.spent);
    const frame = request.frame ?? this.liveFrame(request);
    const transfer: Transferable[] = [];
    const answers = request.questions.map(([id, query]) => [id, this.find(query, frame, transfer)] as const);
    this.post({ type: "frame", frame, news: this.news(), answers }, transfer);
  }

  private liveFrame({ windowUs, readUs, anchorUs }: FrameRequest): Frame {
    const toUs = this.store.edgeUs;
    const fromUs = toUs - windowUs;
    return { fromUs, toUs, windowFromUs: fromUs, readUs: readUs ?? toUs, anchorUs };
  }

  private find(query: Query, frame: Frame, transfer: Transferable[]): AnyAnswer {
    const buffers = (name: string) => this.store.buffer(name);
    switch (query.kind) {
      case "columns": {
        const answer: ColumnsAnswer = findColumns(buffers, frame, query, this.pool);
        for (const columns of answer) if (columns !== null) transfer.push(columns.bytes);
        return answer;
      }
      case "values":
        return readValues(buffers, frame, query);
      case "track":
        return transferred(findTrack(buffers, frame, query), transfer);
      case "pairs":
        return transferred(findPairs(buffers, frame, query), transfer);
      case "histogram":
        return findHistogram(buffers, frame, query);
    }
  }
}

function transferred<T extends TrackAnswer | PairsAnswer>(answer: T | null, transfer: Transferable[]): T | null {
  for (const value of Object.values(answer ?? {})) if (ArrayBuffer.isView(value)) transfer.push(value.buffer as ArrayBuffer);
  return answer;
}
