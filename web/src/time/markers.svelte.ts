import { untrack } from "svelte";

export type MarkerKind = "alarm" | "lap" | "note" | "session";
export type Severity = "info" | "warning" | "critical";

/** Something that happened, on the time axis of all charts. Times are UTC in µs. */
export interface Marker {
  /** Unique within its source. */
  readonly id: string;
  readonly kind: MarkerKind;
  readonly fromUs: number;
  /** null: a moment, or still going on. */
  readonly toUs: number | null;
  /** Plain text, shown as such. */
  readonly text: string;
  readonly severity?: Severity;
  /** What a click on it does (besides showing the time around it). */
  readonly onSelect?: () => void;
}

/** The markers of the time line. Each source (alarms, laps, notes) replaces its own as a whole. */
export class Markers {
  private sources = $state.raw<ReadonlyMap<string, readonly Marker[]>>(new Map());
  /** All of them, by time. */
  readonly all = $derived([...this.sources.values()].flat().sort((a, b) => a.fromUs - b.fromUs));

  /** Replaces the markers of `source`; also from within an effect. */
  set(source: string, markers: readonly Marker[]): void {
    this.sources = new Map(untrack(() => this.sources)).set(source, markers);
  }

  clear(): void {
    this.sources = new Map();
  }
}
