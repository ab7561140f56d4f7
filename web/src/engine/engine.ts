import { CloseLook } from "../buffer/closeLook";
import { LiveStore } from "../buffer/liveStore";
import { KIND_INCREMENT, type ColumnsMessage } from "../protocol/columns";
import type { Reset, ServerMessage } from "../protocol/messages";
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
  private look: CloseLook | null = null;
  /** Its samples are still to come; the one before stays in view until then. */
  private nextLook: CloseLook | null = null;
  private socket: LiveSocket | null = null;
  private vehicle = "";
  private watches = 0;
  private resets = 0;
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
      case "look_back":
        if (message.request === null) this.look = null;
        this.nextLook = null;
        this.socket?.lookBack(message.request);
        break;
      case "retry":
        this.socket?.retryNow();
        break;
      case "close":
        this.socket?.close();
        break;
      case "reset":
        this.store.reset();
        this.look = this.nextLook = null;
        this.vehicle = "";
        this.resets++;
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
      onPast: (message) => this.onPast(message),
      onPastColumns: (message, bytes) => this.onPastColumns(message, bytes),
      onStatus: (status) => this.post({ type: "status", status }, []),
      onFailure: () => this.post({ type: "failure" }, []),
      onBad: () => this.post({ type: "bad" }, []),
    });
  }

  private onMessage(message: ServerMessage): void {
    if (message.type === "watching") this.store.startWatching(message);
    else if (message.type === "reset") this.restart(message);
    else if (message.type === "welcome") this.look = this.nextLook = null; // Channels have other numbers now.
    else if (message.type === "state" && message.vehicle === this.vehicle) this.store.raiseEdge(message.edge_utc_us);
    else if (message.type === "error" && message.code === "history_failed") this.store.endHistory();
    this.post({ type: "message", message, news: this.news() }, []);
  }

  private restart(reset: Reset): void {
    this.store.restart(reset.moved ?? null);
    this.look = this.nextLook = null;
    this.socket?.lookBackAgain();
  }

  private onPast(message: ServerMessage): void {
    // What cannot be read stays as coarse as it is.
    this.nextLook = message.type === "watching" ? new CloseLook(message) : null;
  }

  private onPastColumns(message: ColumnsMessage, bytes: number): void {
    this.receivedBytes += bytes;
    this.nextLook?.accept(message);
    if (this.nextLook?.isComplete !== true) return;
    this.look = this.nextLook;
    this.nextLook = null;
    this.isInView = true;
    this.tellSoon();
  }

  private onColumns(message: ColumnsMessage, bytes: number): void {
    this.receivedBytes += bytes;
    const isNewer = this.store.accept(message);
    this.isNewer ||= isNewer && message.kind === KIND_INCREMENT;
    this.isInView ||= this.store.isInView(message);
    if (message.kind === KIND_INCREMENT) for (const look of [this.look, this.nextLook]) look?.accept(message);
    this.tellSoon();
  }

  private tellSoon(): void {
    this.freshTimer ??= setTimeout(() => {
      this.freshTimer = undefined;
      this.post({ type: "fresh", isNewer: this.isNewer, isInView: this.isInView, news: this.news() }, []);
      this.isNewer = this.isInView = false;
    }, FRESH_EVERY_MS);
  }

  private news(): News {
    const { look, watches, resets, receivedBytes } = this;
    const closer = look === null ? null : { fromUs: look.fromUs, toUs: look.toUs, bucketUs: look.bucketUs };
    return { edgeUs: this.store.edgeUs, isHistoryComplete: this.store.isHistoryComplete, closer, watches, resets, receivedBytes };
  }

  private answer(request: FrameRequest): void {
    this.pool.begin(request.spent);
    const frame = request.frame ?? this.liveFrame(request);
    const transfer: Transferable[] = [];
    const look = request.frame !== null && this.covers(frame) ? this.look : null;
    const answers = request.questions.map(([id, query]) => [id, this.find(query, frame, look, transfer)] as const);
    this.post({ type: "frame", frame, news: this.news(), answers }, transfer);
  }

  private liveFrame({ windowUs, readUs, anchorUs }: FrameRequest): Frame {
    const toUs = this.store.edgeUs;
    const fromUs = toUs - windowUs;
    return { fromUs, toUs, windowFromUs: fromUs, readUs: readUs ?? toUs, anchorUs };
  }

  private covers({ fromUs, toUs, anchorUs }: Frame): boolean {
    return this.look !== null && this.look.covers(Math.min(fromUs, anchorUs ?? fromUs), Math.max(toUs, anchorUs ?? toUs));
  }

  private find(query: Query, frame: Frame, look: CloseLook | null, transfer: Transferable[]): AnyAnswer {
    const buffers = (name: string) => look?.buffer(name) ?? this.store.buffer(name);
    switch (query.kind) {
      case "columns": {
        const answer: ColumnsAnswer = findColumns(buffers, frame, query, this.pool);
        for (const columns of answer) if (columns !== null) transfer.push(columns.bytes);
        return answer;
      }
      case "values":
        return readValues((name) => look?.buffer(name, frame.readUs) ?? this.store.buffer(name), frame, query);
      case "track":
        return transferred(findTrack((name) => this.store.buffer(name), frame, query), transfer); // It shows the whole window.
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
