import { LiveStore } from "../buffer/liveStore";
import { FrameLoop } from "../plot/frameLoop";
import { KIND_INCREMENT, VERSION, type ColumnsMessage } from "../protocol/columns";
import type { ChannelInfo, Missed, OtherMessage, ServerMessage, User, VehicleInfo, VehicleState, VehicleSummary } from "../protocol/messages";
import { getMe, getVehicle, getVehicles, RefusedError, signOut, SignedOutError, UnreachableError } from "../protocol/rest";
import { defaultCharts } from "../settings/defaults";
import { DEFAULT_VIEW, loadView, MAX_CHANNELS, storeView, vehicleOfQuery, viewQuery, type ChartSpec, type View } from "../settings/view";
import { LiveSocket, type ConnectionStatus } from "../source/liveSocket";
import { sectionOf } from "../extend/sections";
import { startFeeds } from "../extend/feeds";
import { Markers } from "../time/markers.svelte";
import { Timeline } from "../time/timeline.svelte";
import { lampOf, type Lamp } from "./lamp";
import { hasRole, type Role } from "./role";

export type Phase = "loading" | "signed_out" | "unreachable" | "no_vehicle" | "ready";

const TICK_MS = 100;
const VEHICLES_EVERY_MS = 5000;
const RETRY_MS = 2000;
const WATCH_DELAY_MS = 120;
const LAST_VEHICLE = "ved.vehicle";

/** Everything that the page knows. Samples stand in `store`, outside of Svelte's reactivity; `tick` tells to read again. */
export class Telemetry {
  readonly store = new LiveStore();
  readonly loop = new FrameLoop();
  readonly time = new Timeline({
    freeze: () => this.store.freeze(),
    unfreeze: () => this.store.unfreeze(),
    dirty: () => this.loop.dirty(),
  });
  readonly markers = new Markers();
  /** The section in view; its id stands in the address. */
  section = $state(sectionOf(new URLSearchParams(location.search).get("section")));

  phase = $state<Phase>("loading");
  user = $state.raw<User | null>(null);
  vehicles = $state.raw<readonly VehicleSummary[]>([]);
  vehicle = $state.raw<VehicleInfo | null>(null);
  unknownVehicle = $state<string | null>(null);
  connection = $state<ConnectionStatus>("connecting");
  state = $state.raw<VehicleState | null>(null);
  view = $state.raw<View>(DEFAULT_VIEW);
  /** Moves ten times per second: numbers on the page are read again. */
  tick = $state(0);
  nowMs = $state(0);
  missed = $state.raw<{ readonly messages: number; readonly fromUs: number; readonly toUs: number } | null>(null);
  error = $state<string | null>(null);
  badMessages = $state(0);
  isOutdated = $state(false);
  isHistoryComplete = $state(false);
  unknownChannels = $state.raw<readonly string[]>([]);
  bucketUs = $state(0);

  readonly charts = $derived(this.view.charts ?? (this.vehicle === null ? [] : defaultCharts(this.vehicle)));
  readonly channels = $derived(new Map(this.vehicle?.channels.map((channel) => [channel.name, channel] as const) ?? []));
  readonly ageMs = $derived.by(() => this.currentAgeMs());
  readonly lamp: Lamp | "wait" = $derived.by(() => {
    if (this.connection === "connecting" && !this.hasConnected) return "wait";
    if (this.connection === "open" && this.state === null) return "wait";
    return lampOf(this.connection === "open", this.state?.link ?? "unknown", this.ageMs);
  });

  private readonly socket: LiveSocket;
  private readonly listeners = new Map<string, Set<(message: OtherMessage) => void>>();
  private hasConnected = $state(false);
  private stateAtMs = 0;
  private freshAtMs = -Infinity;
  private endFeeds: () => void = () => undefined;
  private watchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new LiveSocket(`${scheme}://${location.host}/api/live`, {
      onMessage: (message) => this.onMessage(message),
      onOther: (message) => this.listeners.get(message.type)?.forEach((hear) => hear(message)),
      onColumns: (message) => this.onColumns(message),
      onStatus: (status) => (this.connection = status),
      onFailure: () => void this.checkSignedIn(),
      onBad: () => this.badMessages++,
    });
  }

  async start(): Promise<void> {
    addEventListener("popstate", () => (this.section = sectionOf(new URLSearchParams(location.search).get("section"))));
    setInterval(() => {
      this.nowMs = performance.now();
      this.tick++;
    }, TICK_MS);
    await this.load();
    setInterval(() => void this.refreshVehicles(), VEHICLES_EVERY_MS);
  }

  /** Loads what the page needs; tries again by itself until the server answers. */
  async load(): Promise<void> {
    try {
      this.user = await getMe();
      this.vehicles = await getVehicles();
    } catch (error) {
      this.phase = phaseOf(error);
      if (this.phase === "unreachable") setTimeout(() => void this.load(), RETRY_MS);
      return;
    }
    const wanted = vehicleOfQuery(location.search) ?? localStorage.getItem(LAST_VEHICLE);
    await this.chooseFirst(wanted);
  }

  async chooseVehicle(name: string): Promise<void> {
    let vehicle: VehicleInfo;
    try {
      vehicle = await getVehicle(name);
    } catch (error) {
      this.phase = phaseOf(error);
      if (this.phase === "unreachable") setTimeout(() => void this.load(), RETRY_MS);
      return;
    }
    this.time.reset();
    this.store.reset();
    this.state = null;
    this.missed = null;
    this.freshAtMs = -Infinity;
    this.view = loadView(name, location.search, localStorage);
    this.time.windowUs = this.view.windowS * 1e6;
    this.endFeeds();
    this.markers.clear();
    this.vehicle = vehicle;
    localStorage.setItem(LAST_VEHICLE, name);
    this.phase = "ready";
    this.saveView();
    this.sendWatch();
    this.socket.connect();
    this.endFeeds = startFeeds(this, name);
  }

  private async chooseFirst(wanted: string | null): Promise<void> {
    const names = this.vehicles.map((vehicle) => vehicle.name);
    const isKnown = wanted !== null && names.includes(wanted);
    this.unknownVehicle = wanted !== null && !isKnown && vehicleOfQuery(location.search) === wanted ? wanted : null;
    const name = isKnown ? wanted : mostAlive(this.vehicles)?.name;
    if (name === undefined) this.phase = "no_vehicle";
    else await this.chooseVehicle(name);
  }

  private async refreshVehicles(): Promise<void> {
    if (document.hidden || this.phase === "signed_out") return;
    try {
      this.vehicles = await getVehicles();
    } catch (error) {
      if (error instanceof SignedOutError) this.phase = "signed_out";
      else if (!(error instanceof UnreachableError)) throw error;
      return; // The connection's own state tells that the server is away.
    }
    if (this.phase === "no_vehicle" && this.vehicles.length > 0) await this.chooseFirst(null);
    else if (this.vehicle?.channels.length === 0) await this.refreshVehicle();
  }

  /** Reads the vehicle's definitions again: a new epoch or a new DBC may bring other channels. */
  private async refreshVehicle(): Promise<void> {
    const before = this.vehicle;
    if (before === null) return;
    let vehicle: VehicleInfo;
    try {
      vehicle = await getVehicle(before.name);
    } catch (error) {
      if (error instanceof SignedOutError || error instanceof UnreachableError || error instanceof RefusedError) return; // The connection tells.
      throw error;
    }
    if (this.vehicle !== before || JSON.stringify(vehicle) === JSON.stringify(before)) return;
    this.vehicle = vehicle;
    this.sendWatch();
  }

  async leave(): Promise<void> {
    await signOut();
    this.socket.close();
    this.phase = "signed_out";
  }

  retryConnection(): void {
    this.socket.retryNow();
  }

  fetchMissed(): void {
    this.missed = null;
    this.socket.watchAgain();
  }

  // --- what is shown -------------------------------------------------------------------------------------------------

  setRate(rateHz: number): void {
    this.changeView({ ...this.view, rateHz });
  }

  setWindow(windowS: number): void {
    this.time.goLive();
    this.changeView({ ...this.view, windowS });
  }

  setMap(hasMap: boolean): void {
    this.changeView({ ...this.view, hasMap });
  }

  /** null: back to the charts of the vehicle. */
  setCharts(charts: readonly ChartSpec[] | null): void {
    this.changeView({ ...this.view, charts });
  }

  addChart(channels: readonly string[] = []): number {
    this.setCharts([...this.charts, { title_en: "", title_fr: "", channels }]);
    return this.charts.length - 1;
  }

  removeChart(index: number): void {
    this.setCharts(this.charts.filter((_, i) => i !== index));
  }

  moveChartUp(index: number): void {
    const charts = [...this.charts];
    const [chart] = charts.splice(index, 1);
    if (chart !== undefined) charts.splice(Math.max(0, index - 1), 0, chart);
    this.setCharts(charts);
  }

  /** Adds the channel to the chart, or takes it away; false when no more channels fit. */
  toggleChannel(index: number, name: string): boolean {
    const chart = this.charts[index];
    if (chart === undefined) return false;
    const isShown = chart.channels.includes(name);
    const channels = isShown ? chart.channels.filter((other) => other !== name) : [...chart.channels, name];
    const charts = this.charts.map((other, i) => (i === index ? { ...chart, channels } : other));
    if (!isShown && this.channelsOf(charts).length > MAX_CHANNELS) return false;
    this.setCharts(charts);
    return true;
  }

  private changeView(view: View): void {
    this.view = view;
    this.time.windowUs = view.windowS * 1e6;
    this.saveView();
    clearTimeout(this.watchTimer);
    this.watchTimer = setTimeout(() => this.sendWatch(), WATCH_DELAY_MS);
    this.loop.dirty();
  }

  private saveView(): void {
    if (this.vehicle === null) return;
    storeView(this.vehicle.name, this.view, localStorage);
    history.replaceState(null, "", viewQuery(this.vehicle.name, this.view, this.section));
  }

  private channelsOf(charts: readonly ChartSpec[]): string[] {
    const names = new Set(charts.flatMap((chart) => chart.channels));
    const map = this.view.hasMap ? this.vehicle?.map : null;
    if (map) for (const name of [map.latitude, map.longitude, map.valid]) if (name) names.add(name);
    return [...names];
  }

  private sendWatch(): void {
    clearTimeout(this.watchTimer);
    if (this.vehicle === null) return;
    this.isHistoryComplete = false;
    const channels = this.channelsOf(this.charts).slice(0, MAX_CHANNELS);
    this.socket.watch({ vehicle: this.vehicle.name, channels, rate_hz: this.view.rateHz, window_s: this.view.windowS });
  }

  /** Opens a section; "back" of the browser returns. */
  open(section: string): void {
    if (section === this.section || this.vehicle === null) return;
    this.section = sectionOf(section);
    history.pushState(null, "", viewQuery(this.vehicle.name, this.view, this.section));
  }

  /** Hears the live messages of a type that the live view itself does not use; gives back the end of it. */
  listen(type: string, hear: (message: OtherMessage) => void): () => void {
    const hearers = this.listeners.get(type) ?? new Set();
    this.listeners.set(type, hearers.add(hear));
    return () => hearers.delete(hear);
  }

  /** True when the person who is signed in may do what needs this role. */
  may(role: Role): boolean {
    return hasRole(this.user?.role, role);
  }

  channel(name: string): ChannelInfo | undefined {
    return this.channels.get(name);
  }

  private currentAgeMs(): number | null {
    const age = this.state?.age_ms ?? null;
    if (age === null) return null;
    return Math.max(0, Math.min(age + this.nowMs - this.stateAtMs, this.nowMs - this.freshAtMs));
  }

  // --- from the server -----------------------------------------------------------------------------------------------

  private onMessage(message: ServerMessage): void {
    switch (message.type) {
      case "welcome":
        this.hasConnected = true;
        this.isOutdated = message.version !== VERSION;
        this.error = null;
        break;
      case "watching":
        this.store.startWatching(message);
        this.time.raiseEdge(this.store.edgeUs);
        this.unknownChannels = message.unknown;
        this.bucketUs = message.bucket_us;
        this.isHistoryComplete = false;
        break;
      case "state":
        this.onState(message);
        break;
      case "reset":
        this.time.reset();
        this.store.reset();
        void this.refreshVehicle();
        break;
      case "missed":
        this.onMissed(message);
        break;
      case "error":
        this.error = message.message;
        break;
    }
    this.loop.dirty();
  }

  private onState(message: VehicleState): void {
    if (message.vehicle !== this.vehicle?.name) return;
    if (this.state !== null && this.state.epoch !== message.epoch) void this.refreshVehicle();
    this.state = message;
    this.nowMs = this.stateAtMs = performance.now();
    this.store.raiseEdge(message.edge_utc_us);
    this.time.raiseEdge(this.store.edgeUs);
  }

  private onColumns(message: ColumnsMessage): void {
    const isNewer = this.store.accept(message);
    this.time.raiseEdge(this.store.edgeUs);
    if (isNewer && message.kind === KIND_INCREMENT) this.freshAtMs = performance.now();
    this.isHistoryComplete = this.store.isHistoryComplete;
    this.loop.dirty();
  }

  private onMissed(message: Missed): void {
    const before = this.missed;
    this.missed = {
      messages: message.messages + (before?.messages ?? 0),
      fromUs: Math.min(message.from_utc_us, before?.fromUs ?? Infinity),
      toUs: Math.max(message.to_utc_us, before?.toUs ?? -Infinity),
    };
  }

  /** A refused WebSocket does not tell why; the REST interface does. */
  private async checkSignedIn(): Promise<void> {
    try {
      this.user = await getMe();
    } catch (error) {
      if (error instanceof SignedOutError) {
        this.phase = "signed_out";
        this.socket.close();
      } else if (!(error instanceof UnreachableError)) throw error;
    }
  }
}

function phaseOf(error: unknown): Phase {
  if (error instanceof SignedOutError) return "signed_out";
  if (error instanceof UnreachableError || error instanceof RefusedError) return "unreachable";
  throw error;
}

/** The vehicle that a newcomer wants to see: one with a link, else the one with the newest data. */
function mostAlive(vehicles: readonly VehicleSummary[]): VehicleSummary | undefined {
  const rank = (vehicle: VehicleSummary): number => (vehicle.link === "up" ? 0 : 1e15) + (vehicle.age_ms ?? 1e14);
  return [...vehicles].sort((a, b) => rank(a) - rank(b))[0];
}
