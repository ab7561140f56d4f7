import { untrack } from "svelte";
import { RefusedError, SignedOutError, UnreachableError } from "../protocol/rest";
import { byTime, isAlarm, isLoud, listed, merged, renewed, type Alarm } from "./alarm";
import { getAlarms, getOpenAlarms } from "./rest";

const MUTED = "ved.alarms.muted";

/** The alarms of the vehicle in view, as far as the page knows them. */
export class Alarms {
  private known = $state.raw<ReadonlyMap<string, Alarm>>(new Map());
  /** Moves with time: a shelf that runs out lets its alarms be heard again. UTC in µs. */
  nowUs = $state(Date.now() * 1000);
  /** False until the server has told: no alarm is known then, which does not mean that there is none. */
  isLoaded = $state(false);
  /** No sound from this page. */
  isMuted = $state(false);

  private clears = 0;

  readonly newest = $derived([...this.known.values()].sort(byTime));
  readonly open = $derived(listed(this.newest, false));
  readonly loud = $derived(this.open.filter((alarm) => isLoud(alarm, this.nowUs)));

  constructor(private readonly storage: Pick<Storage, "getItem" | "setItem"> = localStorage) {
    this.isMuted = storage.getItem(MUTED) === "1";
  }

  mute(isMuted: boolean): void {
    this.isMuted = isMuted;
    this.storage.setItem(MUTED, isMuted ? "1" : "0");
  }

  clear(): void {
    this.known = new Map();
    this.isLoaded = false;
    this.clears++;
  }

  /** Alarms that were read some time ago, with what was heard of them since. */
  renewed(rows: readonly Alarm[]): Alarm[] {
    return renewed(rows, this.known);
  }

  hear(value: unknown): void {
    if (isAlarm(value)) this.known = merged(this.known, [value]);
  }

  /** Reads what the server has; what was heard since it was asked is newer and stays. */
  async load(vehicle: string): Promise<void> {
    const { clears } = this;
    const before = untrack(() => this.known); // An effect that loads must not run again for what it loaded.
    let found: readonly Alarm[];
    try {
      found = [...(await getAlarms(vehicle)), ...(await getOpenAlarms(vehicle))];
    } catch (error) {
      if (error instanceof UnreachableError || error instanceof SignedOutError || error instanceof RefusedError) return; // The connection tells.
      throw error;
    }
    if (clears !== this.clears) return; // Another vehicle is in view by now.
    const heard = [...this.known.values()].filter((alarm) => before.get(alarm.id) !== alarm);
    this.known = merged(merged(new Map(), found), heard);
    this.isLoaded = true;
  }
}

export const alarms = new Alarms();
