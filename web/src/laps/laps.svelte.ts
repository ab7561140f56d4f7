import { RefusedError, SignedOutError, UnreachableError } from "../protocol/rest";
import { bestOf, comparedLaps } from "./compared";
import { NOTHING_CHOSEN, type LapView } from "./lapView";
import { getLaps, getSession, getSessions, type Lap, type SessionLine } from "./rest";

const EVERY_MS = 5000;

/** Sessions and laps of the vehicle in view; the newest session unless another is chosen. */
export class Laps {
  sessions = $state.raw<readonly SessionLine[]>([]);
  laps = $state.raw<readonly Lap[]>([]);
  /** The one session that a guest sees; null: all of the vehicle. */
  only = $state<string | null>(null);
  /** What is chosen of them. */
  view = $state.raw<LapView>(NOTHING_CHOSEN);

  readonly session = $derived(this.sessions.find((one) => one.id === this.view.session) ?? this.sessions.at(-1));
  readonly best: Lap | undefined = $derived(bestOf(this.laps));
  readonly compared: readonly Lap[] = $derived(comparedLaps(this.laps, this.view.picked, this.view.reference));

  private vehicle = "";
  private onLaps: () => void = () => undefined;

  /** For a link that shows the same: laps have numbers within their session. */
  readonly shared: LapView = $derived({
    ...this.view,
    session: this.view.session ?? (this.view.picked.length > 0 || this.view.reference !== null ? (this.session?.id ?? null) : null),
  });

  /** Keeps up with a vehicle; gives back the end of it. `onLaps`: they are other than before. */
  follow(vehicle: string, onLaps: () => void): () => void {
    this.vehicle = vehicle;
    this.onLaps = onLaps;
    if (this.only === null) this.sessions = [];
    this.laps = [];
    this.view = NOTHING_CHOSEN;
    let isOver = false;
    const look = async (): Promise<void> => {
      if (!document.hidden) await this.refresh(vehicle);
      if (!isOver) timer = setTimeout(() => void look(), EVERY_MS);
    };
    let timer = setTimeout(() => void look(), 0);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }

  /** For a guest: this session and no other. */
  async restrict(session: string): Promise<void> {
    this.only = session;
    this.sessions = [await getSession(session)];
  }

  async choose(session: string | null): Promise<void> {
    this.view = { ...NOTHING_CHOSEN, session };
    this.laps = [];
    this.onLaps();
    await this.refresh(this.vehicle);
  }

  /** Takes a lap out of those that are shown, or adds it. */
  toggle(lap: number): void {
    const shown = this.compared.map((one) => one.number);
    this.see({ picked: shown.includes(lap) ? shown.filter((one) => one !== lap) : [...shown, lap] });
  }

  /** Changes what is seen of the laps. */
  see(change: Partial<LapView>): void {
    this.view = { ...this.view, ...change };
  }

  private async refresh(vehicle: string): Promise<void> {
    try {
      const sessions = this.only === null ? await getSessions(vehicle) : [await getSession(this.only)];
      if (vehicle !== this.vehicle) return;
      this.sessions = sessions;
      const { session } = this;
      if (session === undefined) return;
      const laps = await getLaps(session.id);
      if (vehicle !== this.vehicle || session.id !== this.session?.id) return;
      if (JSON.stringify(laps) === JSON.stringify(this.laps)) return;
      this.laps = laps;
      this.onLaps();
    } catch (error) {
      // The connection's own state tells that the server is away; one that knows no laps has none.
      if (!(error instanceof RefusedError || error instanceof UnreachableError || error instanceof SignedOutError)) throw error;
    }
  }
}
