import { RefusedError, SignedOutError, UnreachableError } from "../protocol/rest";
import { bestOf, comparedLaps } from "./compared";
import { getLaps, getSession, getSessions, type Lap, type SessionLine } from "./rest";

const EVERY_MS = 5000;

/** Sessions and laps of the vehicle in view; the newest session unless another is chosen. */
export class Laps {
  sessions = $state.raw<readonly SessionLine[]>([]);
  laps = $state.raw<readonly Lap[]>([]);
  /** null: the newest. */
  chosen = $state<string | null>(null);
  /** The one session that a guest sees; null: all of the vehicle. */
  only = $state<string | null>(null);
  /** Laps that are laid over each other, by number; empty: the best and the last. */
  picked = $state.raw<readonly number[]>([]);
  /** The lap that the others are compared with, by number; null: the best. */
  reference = $state<number | null>(null);
  /** The part of the lap in view of all overlays, from 0 to 1. */
  zoom = $state.raw<{ readonly from: number; readonly to: number } | null>(null);

  readonly session = $derived(this.sessions.find((one) => one.id === this.chosen) ?? this.sessions.at(-1));
  readonly best: Lap | undefined = $derived(bestOf(this.laps));
  readonly compared: readonly Lap[] = $derived(comparedLaps(this.laps, this.picked, this.reference));

  private vehicle = "";
  private onLaps: () => void = () => undefined;

  /** Keeps up with a vehicle; gives back the end of it. `onLaps`: they are other than before. */
  follow(vehicle: string, onLaps: () => void): () => void {
    this.vehicle = vehicle;
    this.onLaps = onLaps;
    if (this.only === null) this.sessions = [];
    this.laps = [];
    this.chosen = null;
    this.picked = [];
    this.reference = null;
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
    this.chosen = session;
    this.laps = [];
    this.picked = [];
    this.reference = null;
    this.onLaps();
    await this.refresh(this.vehicle);
  }

  /** Takes a lap out of those that are shown, or adds it. */
  toggle(lap: number): void {
    const shown = this.compared.map((one) => one.number);
    this.picked = shown.includes(lap) ? shown.filter((one) => one !== lap) : [...shown, lap];
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
