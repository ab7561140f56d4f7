import { decodeColumns, ProtocolError, type ColumnsMessage } from "../protocol/columns";
import { isKnown, parseServerMessage, type ClientMessage, type OtherMessage, type ServerMessage, type Watch } from "../protocol/messages";

export type ConnectionStatus = "connecting" | "open" | "waiting";

export interface LiveHandlers {
  readonly onMessage: (message: ServerMessage) => void;
  /** A message of another kind, for those who listen for it. */
  readonly onOther: (message: OtherMessage) => void;
  readonly onColumns: (message: ColumnsMessage, bytes: number) => void;
  /** What answers the request for a part of the past. */
  readonly onPast: (message: ServerMessage) => void;
  readonly onPastColumns: (message: ColumnsMessage, bytes: number) => void;
  readonly onStatus: (status: ConnectionStatus) => void;
  /** A connection failed or ended; the next try follows by itself. */
  readonly onFailure: () => void;
  /** A message could not be understood and was dropped. */
  readonly onBad: (why: string) => void;
}

export type WatchRequest = Omit<Watch, "type" | "id">;
export type PastRequest = WatchRequest & { readonly until_utc_us: number };

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 4000;
/** The server sends a state twice per second; a silence this long is a dead connection. */
const SILENCE_MS = 5000;
/** Before the welcome, and while a history is under way: on a slow link one message may take long. */
const PATIENT_MS = 15_000;
const MAX_ID = 65535;

/**
 * The WebSocket of the page: reconnects forever and repeats its requests each time, one that follows the edge and one for a
 * part of the past.
 *
 * Each request has an id of its own, so what is still under way for the one before is told apart and dropped.
 */
export class LiveSocket {
  private socket: WebSocket | null = null;
  private request: WatchRequest | null = null;
  private id = 0;
  private past: PastRequest | null = null;
  private pastId = 0;
  private newestId = 0;
  private retryMs = RETRY_FIRST_MS;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;
  private isClosed = false;
  private isPatient = true;

  constructor(
    private readonly url: string,
    private readonly handlers: LiveHandlers,
    private readonly open: (url: string) => WebSocket = (address) => new WebSocket(address),
  ) {}

  connect(): void {
    if (this.isClosed || this.socket !== null) return;
    clearTimeout(this.retryTimer);
    this.handlers.onStatus("connecting");
    const socket = this.open(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.receive(event.data);
    socket.onclose = () => this.ended(socket);
    this.isPatient = true;
    this.watchSilence();
  }

  /** Replaces what is watched. */
  watch(request: WatchRequest): void {
    const before = this.request === null ? null : this.id;
    this.request = request;
    this.isPatient = true;
    this.id = this.nextId();
    if (before !== null) this.send({ type: "unwatch", id: before });
    this.send({ type: "watch", id: this.id, ...request });
  }

  /** Asks for the history of the window again. */
  watchAgain(): void {
    if (this.request !== null) this.watch(this.request);
  }

  /** Replaces the part of the past that is asked for; null: none. */
  lookBack(request: PastRequest | null): void {
    if (this.past !== null) this.send({ type: "unwatch", id: this.pastId });
    this.past = request;
    this.pastId = this.nextId(); // Nothing that is still under way is meant.
    if (request !== null) this.send({ type: "watch", id: this.pastId, ...request });
  }

  /** Asks for the same part of the past again. */
  lookBackAgain(): void {
    if (this.past !== null) this.lookBack(this.past);
  }

  /** Tries at once instead of at the end of the wait. */
  retryNow(): void {
    this.retryMs = RETRY_FIRST_MS;
    this.connect();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.retryTimer);
    clearTimeout(this.silenceTimer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private nextId(): number {
    this.newestId = this.newestId === MAX_ID ? 1 : this.newestId + 1;
    return this.newestId;
  }

  private send(message: ClientMessage): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  private receive(data: string | ArrayBuffer): void {
    if (typeof data === "string") this.receiveText(data);
    else this.receiveColumns(data);
    if (this.socket !== null) this.watchSilence();
  }

  private receiveColumns(data: ArrayBuffer): void {
    try {
      const message = decodeColumns(data);
      if (message.subscription === this.pastId) this.handlers.onPastColumns(message, data.byteLength);
      if (message.subscription !== this.id) return;
      if (message.isLast) this.isPatient = false;
      this.handlers.onColumns(message, data.byteLength);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.handlers.onBad(error.message);
    }
  }

  private receiveText(text: string): void {
    let message: ServerMessage | OtherMessage | null;
    try {
      message = parseServerMessage(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.handlers.onBad(error.message);
      return;
    }
    if (message === null) return;
    if (!isKnown(message)) {
      this.handlers.onOther(message);
      return;
    }
    if ("id" in message && message.id === this.pastId) this.handlers.onPast(message);
    if ("id" in message && message.id !== this.id) return;
    if (message.type === "welcome") this.welcomed();
    else if (message.type === "error") this.isPatient = false;
    this.handlers.onMessage(message);
  }

  private welcomed(): void {
    this.retryMs = RETRY_FIRST_MS;
    this.handlers.onStatus("open");
    this.isPatient = this.request !== null;
    if (this.request !== null) this.send({ type: "watch", id: this.id, ...this.request });
    if (this.past !== null) this.send({ type: "watch", id: this.pastId, ...this.past });
  }

  private ended(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.socket = null;
    clearTimeout(this.silenceTimer);
    this.handlers.onStatus("waiting");
    this.handlers.onFailure();
    if (this.isClosed) return;
    clearTimeout(this.retryTimer);
    // Jitter, so that a server that restarts is not met by all pages at the same moment.
    this.retryTimer = setTimeout(() => this.connect(), this.retryMs * (0.7 + 0.6 * Math.random()));
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MAX_MS);
  }

  private watchSilence(): void {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => {
      const socket = this.socket;
      if (socket === null) return;
      socket.close();
      this.ended(socket); // The close handshake of a dead connection may take minutes.
    }, this.isPatient ? PATIENT_MS : SILENCE_MS);
  }
}
