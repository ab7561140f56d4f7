import { reachesEnd, traceOf, type LapTrace } from "../../laps/overlay";
import { getChannelNames, getSeries, type Lap, type Series } from "../../laps/rest";
import { RefusedError, SignedOutError, UnreachableError } from "../../protocol/rest";

/** Samples of a lap that are looked at: one each 20 m of a kilometre is 50; this is finer than a screen. */
const POINTS = 1500;
/** A lap that has just ended is asked for again until its last seconds are stored; then it is shown as it is. */
const TRIES = 20;
const RETRY_MS = 1500;
const AWAY_MS = 5000;

export interface LapRequest {
  readonly session: string;
  readonly lap: Lap;
  readonly channels: readonly string[];
  readonly map: { readonly latitude: string; readonly longitude: string } | null;
}

export interface LoadedLap {
  readonly trace: LapTrace;
  readonly series: ReadonlyMap<string, Series>;
  /** Channels that the session does not have. */
  readonly missing: readonly string[];
}

export const keyOf = ({ session, lap, channels }: LapRequest): string => `${session} ${lap.number} ${lap.utc_to_us} ${channels.join("\n")}`;

/** The laps of an overlay as they come from the server; what is no longer wanted is dropped. */
export class LapLoader {
  loaded: ReadonlyMap<string, LoadedLap> = new Map();
  /** Why a lap does not come, in the server's words. */
  problem = "";
  private wanted = new Map<string, LapRequest>();
  private readonly asked = new Set<string>();

  /** `namesOf`: what a channel is called, and was called before; `onChange`: `loaded` or `problem` are others. */
  constructor(
    private readonly namesOf: (channel: string) => readonly string[],
    private readonly onChange: () => void,
  ) {}

  want(requests: readonly LapRequest[]): void {
    this.wanted = new Map(requests.map((request) => [keyOf(request), request]));
    const kept = [...this.loaded].filter(([key]) => this.wanted.has(key));
    if (kept.length < this.loaded.size || this.problem !== "") {
      this.loaded = new Map(kept);
      this.problem = "";
      this.onChange();
    }
    for (const [key, request] of this.wanted) if (!this.loaded.has(key) && !this.asked.has(key)) void this.load(key, request, TRIES);
  }

  private async load(key: string, request: LapRequest, tries: number): Promise<void> {
    this.asked.add(key);
    let again = 0;
    try {
      const found = await read(request, this.namesOf);
      if (tries > 0 && found.series.size > 0 && !reachesEnd(request.lap, found.series.values())) again = RETRY_MS;
      else if (this.wanted.has(key)) this.loaded = new Map(this.loaded).set(key, found);
    } catch (error) {
      if (error instanceof UnreachableError) again = AWAY_MS;
      else if (error instanceof RefusedError) this.problem = this.wanted.has(key) ? error.message : this.problem;
      else if (!(error instanceof SignedOutError)) throw error;
    }
    if (again > 0) setTimeout(() => (this.wanted.has(key) ? void this.load(key, request, tries - 1) : this.asked.delete(key)), again);
    else {
      this.asked.delete(key);
      this.onChange();
    }
  }
}

/** Asks for all channels; where the session lacks some, or hides them from a guest, for the others. */
async function read({ session, lap, channels, map }: LapRequest, namesOf: (channel: string) => readonly string[]): Promise<LoadedLap> {
  let asked = [...new Set([...channels, ...(map === null ? [] : [map.latitude, map.longitude])])];
  let series: ReadonlyMap<string, Series>;
  try {
    series = await getSeries(session, asked, lap, POINTS);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const there = new Set(await getChannelNames(session));
    const known = asked.filter((name) => namesOf(name).some((one) => there.has(one)));
    if (known.length === asked.length) throw error;
    asked = known;
    series = known.length === 0 ? new Map() : await getSeries(session, known, lap, POINTS);
  }
  const trace = traceOf(lap, map === null ? undefined : series.get(map.latitude), map === null ? undefined : series.get(map.longitude));
  return { trace, series, missing: channels.filter((name) => !asked.includes(name)) };
}
