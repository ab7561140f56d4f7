import { startFeeds } from "../extend/feeds";
import { sectionOf } from "../extend/sections";
import { i18n } from "../i18n/i18n.svelte";
import { Laps } from "../laps/laps.svelte";
import type { ChannelInfo, User, VehicleInfo, VehicleSummary } from "../protocol/messages";
import { says } from "../protocol/failure";
import { getMe, getVehicle, getVehicles, RefusedError, signOut, SignedOutError, UnreachableError } from "../protocol/rest";
import { Preferences } from "../settings/preferences.svelte";
import { DEFAULT_VIEW, loadView, MAX_CHANNELS, MAX_WINDOW_S, readAddress, storeView, writeAddress, type View } from "../settings/view";
import { Markers } from "../time/markers.svelte";
import type { TimeRange } from "../time/timeRange";
import { channelsOf } from "../workbook/model";
import { Workbooks } from "../workbook/workbooks.svelte";
import { Connection } from "./connection.svelte";
import { lampOf, type Lamp } from "./lamp";
import { Numbers } from "./numbers";
import { hasRole, type Role } from "./role";
import { channelsByName, mostAlive } from "./vehicles";
import { Watching } from "./watching";

export type Phase = "loading" | "first_admin" | "signed_out" | "unreachable" | "no_vehicle" | "ready";

const TICK_MS = 100;
const VEHICLES_EVERY_MS = 5000;
const RETRY_MS = 2000;
const ADDRESS_DELAY_MS = 250;
const LAST_VEHICLE = "ved.vehicle";

/** Everything that the page knows but the samples, which the engine holds: who looks, at which vehicle, and at what of it. */
export class Telemetry extends Connection {
  readonly markers = new Markers();
  readonly laps = new Laps();
  readonly preferences = new Preferences();
  readonly workbooks = new Workbooks(localStorage, () => this.onWorkbook());
  readonly numbers: Numbers;

  phase = $state<Phase>("loading");
  user = $state.raw<User | null>(null);
  vehicles = $state.raw<readonly VehicleSummary[]>([]);
  vehicle = $state.raw<VehicleInfo | null>(null);
  unknownVehicle = $state<string | null>(null);
  view = $state.raw<View>(DEFAULT_VIEW);
  /** The section in view; its id stands in the address. */
  section = $state(sectionOf(null));
  /** On a television: panels alone, sheets by turns. */
  isKiosk = $state(false);
  /** By name; a former name finds its channel as well. */
  readonly channels = $derived(channelsByName(this.vehicle?.channels ?? []));
  readonly lamp: Lamp | "wait" = $derived.by(() => {
    if (this.connection === "connecting" && !this.hasConnected) return "wait";
    if (this.connection === "open" && this.state === null) return "wait";
    return lampOf(this.connection === "open", this.state?.link ?? "unknown", this.ageMs);
  });
  readonly isGuest = $derived(this.user?.session !== undefined);
  /** The run that a guest's link opens, and whether it is over: then nothing is live. */
  readonly run = $derived(this.isGuest ? (this.laps.sessions[0] ?? null) : null);
  readonly isOver = $derived(this.run?.is_open === false);
  /** Values of a live view are only as new as the data: grey while it has stopped, also where a pointer reads them. */
  readonly isStale = $derived(!this.time.isPaused && !this.isOver && this.lamp !== "live");
  /** What is in view is still to come. */
  readonly isLoading = $derived(this.time.paused !== null && this.time.paused.fromUs < this.fetched.heldFromUs && !this.isCloser);
  /** The channels of the sheet in view. */
  readonly watched: readonly string[] = $derived(channelsOf(this.workbooks.sheet, this.vehicle));
  /** How many of them one connection may not watch. */
  readonly leftOut = $derived(Math.max(0, this.watched.length - MAX_CHANNELS));

  private readonly watching = new Watching({
    wish: () => (this.vehicle === null ? null : { vehicle: this.vehicle.name, channels: this.watched, rate_hz: this.view.rateHz }),
    windowS: (isAnew) => this.fetched.windowS(this.view.windowS, this.time.neededFromUs, this.time.edgeUs, isAnew),
    askedS: () => this.fetched.askedS,
    paused: () => this.time.paused,
    watch: (request, isOther) => {
      this.fetched.ask(request.window_s, this.time.edgeUs, isOther);
      this.watch(request);
    },
    lookBack: (request) => this.engine.send({ type: "look_back", request }, []),
  });
  private addressTimer: ReturnType<typeof setTimeout> | undefined;
  private feedsEnd: (() => void) | null = null;
  /** How often a vehicle was chosen: an answer about one that is not wanted any more counts for nothing. */
  private choices = 0;
  private wantedRange: TimeRange | null = null;
  /** A time that was asked for and cannot be shown. */
  unreachable = $state.raw<TimeRange | null>(null);
  private readonly url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`;

  constructor() {
    super();
    const telemetry = this;
    this.numbers = new Numbers({
      channel: (name) => this.channel(name),
      get map() {
        return telemetry.vehicle?.map ?? null;
      },
      get units() {
        return telemetry.preferences.content.units;
      },
      get language() {
        return i18n.language;
      },
    });
    const address = readAddress(location.search);
    this.section = address.section;
    this.isKiosk = address.isKiosk;
  }

  async start(): Promise<void> {
    addEventListener("popstate", () => (this.section = readAddress(location.search).section));
    addEventListener("pagehide", () => this.workbooks.leave());
    setInterval(() => this.onTick(), TICK_MS);
    await this.load();
    setInterval(() => void this.refreshVehicles(), VEHICLES_EVERY_MS);
  }

  /** Loads what the page needs; tries again by itself until the server answers. */
  async load(): Promise<void> {
    try {
      this.user = await getMe();
      if (this.user.is_first_admin === true) {
        this.phase = "first_admin";
        return;
      }
      if (this.user.session !== undefined) {
        this.preferences.isLocal = this.workbooks.isLocal = true;
        await this.laps.restrict(this.user.session);
      }
      const who = this.user.session ?? String(this.user.id ?? "");
      this.workbooks.signIn(who);
      [this.vehicles] = await Promise.all([getVehicles(), this.preferences.load(who)]);
    } catch (error) {
      // A guest whose run is there no more (it became part of another one) has come to the end of their link.
      if (this.isGuest && error instanceof RefusedError) this.signedOut();
      else this.failed(error);
      return;
    }
    await this.chooseFirst(readAddress(location.search).vehicle ?? localStorage.getItem(LAST_VEHICLE));
  }

  async chooseVehicle(name: string): Promise<void> {
    const choice = ++this.choices;
    let vehicle: VehicleInfo;
    try {
      vehicle = await getVehicle(name);
    } catch (error) {
      if (choice === this.choices) this.failed(error);
      return;
    }
    if (choice !== this.choices) return; // Another one was chosen meanwhile.
    this.endFeeds();
    this.markers.clear();
    this.forget();
    this.watching.forget();
    const address = readAddress(location.search);
    const isMeant = address.vehicle === null || address.vehicle === name;
    this.view = loadView(name, isMeant ? address.view : {}, localStorage);
    this.time.windowUs = this.view.windowS * 1e6;
    this.wantedRange = isMeant ? address.range : null;
    this.unreachable = null;
    this.vehicle = vehicle;
    localStorage.setItem(LAST_VEHICLE, name);
    const wanted = (isMeant ? address.workbook : null) ?? this.preferences.content.workbooks[name] ?? "default";
    this.engine.send({ type: "connect", url: this.url }, []);
    await this.workbooks.open(vehicle, wanted, isMeant ? address.sheet : null);
    if (choice !== this.choices) return;
    this.phase = "ready";
    this.watching.send();
    this.feedsEnd = startFeeds(this, name);
    if (isMeant) this.laps.see(address.laps);
  }

  private async chooseFirst(wanted: string | null): Promise<void> {
    const names = this.vehicles.map((vehicle) => vehicle.name);
    const isKnown = wanted !== null && names.includes(wanted);
    this.unknownVehicle = wanted !== null && !isKnown && readAddress(location.search).vehicle === wanted ? wanted : null;
    const name = isKnown ? wanted : mostAlive(this.vehicles)?.name;
    if (name === undefined) this.phase = "no_vehicle";
    else await this.chooseVehicle(name);
  }

  private async refreshVehicles(): Promise<void> {
    if (document.hidden || this.phase === "signed_out" || this.phase === "first_admin") return;
    try {
      this.vehicles = await getVehicles();
    } catch (error) {
      if (error instanceof SignedOutError) this.signedOut();
      else if (!isAway(error)) throw error;
      return; // The connection's own state tells that the server is away.
    }
    if (this.phase === "no_vehicle" && this.vehicles.length > 0) await this.chooseFirst(null);
    else if (this.vehicle?.channels.length === 0) await this.refreshVehicle();
  }

  /** Reads the vehicle's definitions again: a new epoch or a new DBC may bring other channels. */
  async refreshVehicle(): Promise<void> {
    const before = this.vehicle;
    if (before === null) return;
    let vehicle: VehicleInfo;
    try {
      vehicle = await getVehicle(before.name);
    } catch (error) {
      if (error instanceof SignedOutError || isAway(error)) return; // The connection tells.
      throw error;
    }
    if (this.vehicle !== before || JSON.stringify(vehicle) === JSON.stringify(before)) return;
    this.vehicle = vehicle;
    this.workbooks.redefine(vehicle);
    this.watching.send();
  }

  async leave(): Promise<void> {
    try {
      await signOut();
    } catch (error) {
      if (!(error instanceof SignedOutError)) {
        this.error = says(error);
        return;
      }
    }
    this.signedOut();
  }

  /** Nobody is signed in any more: nothing goes on, and nothing rings. */
  signedOut(): void {
    this.choices++;
    this.endFeeds();
    this.engine.send({ type: "close" }, []);
    this.phase = "signed_out";
  }

  private endFeeds(): void {
    this.feedsEnd?.();
    this.feedsEnd = null;
  }

  /** The server could not be asked; while it is away, by and by again. */
  private failed(error: unknown): void {
    if (error instanceof SignedOutError) this.signedOut();
    else if (isAway(error)) {
      this.phase = "unreachable";
      setTimeout(() => void this.load(), RETRY_MS);
    } else throw error;
  }

  // --- what is shown -------------------------------------------------------------------------------------------------

  setRate(rateHz: number): void {
    this.changeView({ ...this.view, rateHz });
  }

  setWindow(windowS: number): void {
    this.time.goLive();
    this.changeView({ ...this.view, windowS });
  }

  /** The window from the beginning of the session on, as far as one goes. */
  showSession(): void {
    const fromUs = this.laps.sessions.at(-1)?.utc_from_us ?? -Infinity;
    const toUs = this.isOver ? this.run!.utc_to_us : this.time.edgeUs;
    if (!Number.isFinite(toUs - fromUs)) return;
    this.setWindow(Math.min(MAX_WINDOW_S, Math.max(1, Math.ceil((toUs - fromUs) / 1e6))));
  }

  /** Pauses and shows this time, also where it lies before the window or after the pause; tells where it cannot. */
  visit(range: TimeRange): void {
    const { time } = this;
    if (!Number.isFinite(time.edgeUs)) {
      this.wantedRange = range;
      return;
    }
    const fromUs = Math.max(range.fromUs, this.limitUs());
    if (fromUs >= Math.min(range.toUs, time.edgeUs)) {
      this.unreachable = range;
      return;
    }
    if (time.isPaused && range.toUs > time.bounds().toUs) time.goLive();
    time.show({ fromUs, toUs: range.toUs });
  }

  /** One view further back, also beyond the window: what the page does not hold comes from the server. */
  earlier(): void {
    if (this.isGuest) return; // There is nothing before their run.
    const { fromUs, toUs } = this.time.range();
    if (Number.isFinite(fromUs)) this.visit({ fromUs: 2 * fromUs - toUs, toUs: fromUs });
  }

  setKiosk(isKiosk: boolean): void {
    this.isKiosk = isKiosk;
    this.noteAddress();
  }

  /** Opens a section; "back" of the browser returns. */
  open(section: string): void {
    if (section === this.section || this.vehicle === null) return;
    this.section = sectionOf(section);
    history.pushState(null, "", this.address());
  }

  /** True when the person who is signed in may do what needs this role. */
  may(role: Role): boolean {
    return hasRole(this.user?.role, role);
  }

  channel(name: string): ChannelInfo | undefined {
    return this.channels.get(name);
  }

  /** What a person calls the channel, in their language: the end of its title, which names the message before it. */
  label(name: string): string {
    const info = this.channels.get(name);
    if (info === undefined) return name;
    const title = (i18n.language === "fr" ? info.title_fr : info.title_en) ?? "";
    return title.split(" · ").at(-1) || info.signal;
  }

  /** The query of the address that shows the same. */
  address(): string {
    return writeAddress({
      vehicle: this.vehicle?.name ?? "",
      section: this.section,
      workbook: this.workbooks.awaited ?? this.workbooks.id,
      sheet: this.workbooks.sheetIndex === 0 ? null : this.workbooks.sheet.id,
      view: this.view,
      range: this.time.paused,
      laps: this.laps.shared,
      isKiosk: this.isKiosk,
    });
  }

  /** Keeps the address up to date, not more often than browsers allow. */
  noteAddress(): void {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => {
      if (this.vehicle !== null && this.phase === "ready") history.replaceState(null, "", this.address());
    }, ADDRESS_DELAY_MS);
  }

  private onWorkbook(): void {
    const vehicle = this.vehicle;
    if (vehicle === null) return;
    const { id, awaited, isMissing } = this.workbooks;
    const { workbooks } = this.preferences.content;
    // The default one that stands in for another is nobody's choice.
    if (awaited === null && !isMissing && (workbooks[vehicle.name] ?? "default") !== id) this.preferences.set({ workbooks: { ...workbooks, [vehicle.name]: id } });
    this.watching.soon();
    this.loop.dirty();
    this.noteAddress();
  }

  private changeView(view: View): void {
    this.view = view;
    this.time.windowUs = view.windowS * 1e6;
    if (this.vehicle !== null) storeView(this.vehicle.name, view, localStorage);
    this.noteAddress();
    this.watching.soon();
    this.loop.dirty();
  }

  // --- what the connection tells --------------------------------------------------------------------------------------

  protected override onEdge(): void {
    if (this.wantedRange === null || !Number.isFinite(this.time.edgeUs)) return;
    const range = this.wantedRange;
    this.wantedRange = null;
    this.visit(range);
  }

  protected override onMoved(): void {
    this.unreachable = null;
    this.fetched.pause(this.time.isPaused, this.time.edgeUs);
    this.watching.look();
  }

  /** The longest window, with some minutes in which a view stands still; a guest's run. */
  protected override limitUs(): number {
    return Math.max(this.time.edgeUs - (MAX_WINDOW_S - 600) * 1e6, this.run?.utc_from_us ?? -Infinity);
  }

  /** While the view stands still the edge goes on: what comes late must still find it. */
  protected override onTick(): void {
    super.onTick();
    if (this.time.isPaused && !this.watching.isDue) this.watching.look();
  }

  protected override onFailure(): void {
    void this.checkSignedIn();
  }

  protected override onRedefined(): void {
    void this.refreshVehicle();
  }

  protected override isInView(vehicle: string): boolean {
    return vehicle === this.vehicle?.name;
  }

  /** A refused WebSocket does not tell why; the REST interface does. */
  private async checkSignedIn(): Promise<void> {
    try {
      this.user = await getMe();
    } catch (error) {
      if (error instanceof SignedOutError) this.signedOut();
      else if (!isAway(error)) throw error;
    }
  }
}

const isAway = (error: unknown): boolean => error instanceof UnreachableError || error instanceof RefusedError;
