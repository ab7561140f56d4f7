import { openEngine, Questions, type EngineLink } from "../engine/client";
import type { FromEngine, News } from "../engine/messages";
import { t } from "../i18n/i18n.svelte";
import { FrameLoop } from "../plot/frameLoop";
import { VERSION } from "../protocol/columns";
import type { LiveError, Missed, OtherMessage, ServerMessage, VehicleState } from "../protocol/messages";
import { HistoryRetry } from "../source/historyRetry.svelte";
import type { ConnectionStatus, WatchRequest } from "../source/liveSocket";
import type { Part } from "../time/closer";
import { Fetched } from "../time/fetched.svelte";
import { Timeline } from "../time/timeline.svelte";

/** What the server tells over the live connection, and the engine that holds the samples; `tick` tells to read numbers again. */
export abstract class Connection {
  readonly questions = new Questions();
  readonly loop = new FrameLoop((draw) => this.ask(draw));
  readonly time: Timeline = new Timeline({
    freeze: (edgeUs) => this.engine.send({ type: "freeze", edgeUs }, []),
    unfreeze: () => this.engine.send({ type: "unfreeze" }, []),
    dirty: () => this.loop.dirty(),
    moved: () => this.onMoved(),
    limitUs: () => this.limitUs(),
  });
  /** How far back the samples reach. */
  readonly fetched = new Fetched();
  readonly history: HistoryRetry = new HistoryRetry(() => this.watchAgain());

  connection = $state<ConnectionStatus>("connecting");
  hasConnected = $state(false);
  /** How the vehicle in view is; null: not told yet. */
  state = $state.raw<VehicleState | null>(null);
  /** Moves ten times per second: numbers on the page are read again. */
  tick = $state(0);
  nowMs = $state(0);
  missed = $state.raw<{ readonly messages: number; readonly fromUs: number; readonly toUs: number } | null>(null);
  error = $state<string | null>(null);
  badMessages = $state(0);
  isOutdated = $state(false);
  isHistoryComplete = $state(false);
  unknownChannels = $state.raw<readonly string[]>([]);
  private windowBucketUs = $state(0);
  /** The part of the past of which there are finer samples. */
  private closer = $state.raw<Part | null>(null);
  /** They are what is in view. */
  readonly isCloser = $derived(this.closer !== null && this.time.paused !== null && this.closer.fromUs <= this.time.paused.fromUs && this.time.paused.toUs <= this.closer.toUs);
  readonly bucketUs = $derived((this.isCloser ? this.closer?.bucketUs : undefined) ?? this.windowBucketUs);
  /** Bytes per second of samples, over the last seconds. */
  receivedPerS = $state(0);

  readonly ageMs = $derived.by(() => this.currentAgeMs());
  /** From this time on values are thinned previews, while the car's uplink is slow; null: all comes. */
  readonly previewsFromUs = $derived(this.state?.previews_from_utc_us ?? null);

  protected readonly engine: EngineLink = openEngine();
  private readonly listeners = new Map<string, Set<(message: OtherMessage) => void>>();
  private stateAtMs = 0;
  private freshAtMs = -Infinity;
  private drawWhenAnswered: (() => void) | null = null;
  private received: { readonly atMs: number; readonly bytes: number } = { atMs: 0, bytes: 0 };
  private receivedBytes = 0;
  private watches = 0;
  private resets = 0;

  constructor() {
    this.engine.onmessage = (message) => this.onEngine(message);
  }

  /** The edge may be another one. */
  protected abstract onEdge(): void;
  /** The view stands still at another time, or follows the edge again. */
  protected abstract onMoved(): void;
  /** Nothing before this time can be shown. */
  protected abstract limitUs(): number;
  /** The server refused the connection, or could not be reached. */
  protected abstract onFailure(): void;
  /** The vehicle may have other channels than before. */
  protected abstract onRedefined(): void;
  /** True for the vehicle in view. */
  protected abstract isInView(vehicle: string): boolean;

  retryConnection(): void {
    this.engine.send({ type: "retry" }, []);
  }

  fetchMissed(): void {
    this.missed = null;
    this.watchAgain();
  }

  protected watch(request: WatchRequest): void {
    this.history.reset();
    this.watches++;
    this.isHistoryComplete = false;
    this.engine.send({ type: "watch", request }, []);
  }

  /** Asks for the same history again. */
  watchAgain(): void {
    this.watches++;
    this.isHistoryComplete = false;
    this.engine.send({ type: "watch_again" }, []);
  }

  /** Hears the live messages of a type that the live view itself does not use; gives back the end of it. */
  listen(type: string, hear: (message: OtherMessage) => void): () => void {
    const hearers = this.listeners.get(type) ?? new Set();
    this.listeners.set(type, hearers.add(hear));
    return () => hearers.delete(hear);
  }

  /** Nothing is known of the vehicle that comes into view. */
  protected forget(): void {
    this.resets++;
    this.engine.send({ type: "reset" }, []);
    this.time.reset();
    this.fetched.reset();
    this.history.reset();
    this.state = null;
    this.missed = null;
    this.freshAtMs = -Infinity;
  }

  protected onTick(): void {
    this.nowMs = performance.now();
    this.tick++;
    const tookMs = this.nowMs - this.received.atMs;
    if (tookMs < 2000) return;
    this.receivedPerS = (1000 * (this.receivedBytes - this.received.bytes)) / tookMs;
    this.received = { atMs: this.nowMs, bytes: this.receivedBytes };
  }

  private currentAgeMs(): number | null {
    const age = this.state?.age_ms ?? null;
    if (age === null) return null;
    return Math.max(0, Math.min(age + this.nowMs - this.stateAtMs, this.nowMs - this.freshAtMs));
  }

  /** Asks the engine for all that panels draw; `draw` follows with its answer. */
  private ask(draw: () => void): void {
    this.drawWhenAnswered = draw;
    const { time } = this;
    const { paused, cursorUs, anchorUs } = time;
    const frame = paused === null ? null : { ...paused, windowFromUs: time.bounds().fromUs, readUs: time.readUs(), anchorUs };
    const request = this.questions.request({ frame, windowUs: time.windowUs, readUs: cursorUs, anchorUs }, performance.now());
    this.engine.send(request, [...request.spent]);
  }

  private onEngine(message: FromEngine): void {
    switch (message.type) {
      case "message":
        this.onNews(message.news);
        this.onMessage(message.message);
        break;
      case "other":
        this.listeners.get(message.message.type)?.forEach((hear) => hear(message.message));
        break;
      case "status":
        this.connection = message.status;
        if (message.status !== "open") this.history.reset(); // All is asked for again when it is back.
        break;
      case "failure":
        this.onFailure();
        break;
      case "bad":
        this.badMessages++;
        break;
      case "fresh":
        if (message.isNewer && message.news.resets === this.resets) this.freshAtMs = performance.now();
        this.onNews(message.news);
        if (message.isInView) this.loop.dirty();
        break;
      case "frame":
        this.onNews(message.news);
        this.questions.answer(message.answers, message.frame);
        this.drawWhenAnswered?.();
        this.drawWhenAnswered = null;
        break;
    }
  }

  private onNews(news: News): void {
    if (news.resets !== this.resets) return; // Of the vehicle before.
    this.time.raiseEdge(news.edgeUs);
    this.receivedBytes = news.receivedBytes;
    this.onEdge();
    if (JSON.stringify(news.closer) !== JSON.stringify(this.closer)) this.closer = news.closer;
    // What the engine says of the request before is no news.
    this.isHistoryComplete = news.isHistoryComplete && news.watches === this.watches;
    if (!this.isHistoryComplete) return;
    this.fetched.complete();
    if (this.history.reason !== null) this.history.reset();
  }

  private onMessage(message: ServerMessage): void {
    switch (message.type) {
      case "welcome":
        this.hasConnected = true;
        this.isOutdated = message.version !== VERSION;
        this.error = null;
        break;
      case "watching":
        this.unknownChannels = message.unknown;
        this.windowBucketUs = message.bucket_us;
        this.isHistoryComplete = false;
        if (message.edge_utc_us !== null) this.fetched.begin(message.window_s, message.edge_utc_us);
        break;
      case "state":
        this.onState(message);
        break;
      case "reset":
        this.time.restart(message.moved ?? null);
        this.onRedefined();
        break;
      case "missed":
        this.onMissed(message);
        break;
      case "error":
        if (message.code === "history_failed") this.history.failed(message.message);
        else this.error = told(message);
        break;
    }
    this.loop.dirty();
  }

  private onState(message: VehicleState): void {
    if (!this.isInView(message.vehicle)) return;
    const before = this.state;
    if (before !== null && (before.epoch !== message.epoch || before.sample_channels !== message.sample_channels)) this.onRedefined();
    this.state = message;
    this.nowMs = this.stateAtMs = performance.now();
    this.time.raiseEdge(message.edge_utc_us);
  }

  private onMissed(message: Missed): void {
    const before = this.missed;
    this.missed = {
      messages: message.messages + (before?.messages ?? 0),
      fromUs: Math.min(message.from_utc_us, before?.fromUs ?? Infinity),
      toUs: Math.max(message.to_utc_us, before?.toUs ?? -Infinity),
    };
  }
}

/** In the person's language what they may meet; what else the server refuses is for who writes a page. */
function told(error: LiveError): string {
  if (error.code === "not_allowed") return t("error.not_allowed");
  return error.code === "unknown_vehicle" ? t("error.unknown_vehicle") : t("notice.error", { message: error.message });
}
