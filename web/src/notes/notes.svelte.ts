import type { Telemetry } from "../app/telemetry.svelte";
import { getJson, RefusedError, sendJson, SignedOutError, UnreachableError } from "../protocol/rest";

export interface TimeNote {
  readonly id: number;
  readonly utc_us: number;
  readonly text: string;
  readonly author: string;
  readonly is_mine: boolean;
}

const EVERY_MS = 5000;

/** What people wrote on the time line of the vehicle in view. */
class Notes {
  all = $state.raw<readonly TimeNote[]>([]);
  /** The note that is open, or the time of one that is being written. */
  opened = $state.raw<TimeNote | { readonly utc_us: number } | null>(null);
  private vehicle = "";

  follow(telemetry: Telemetry, vehicle: string): () => void {
    this.vehicle = vehicle;
    this.all = [];
    this.opened = null;
    if (telemetry.isGuest) return () => undefined;
    let isOver = false;
    const look = async (): Promise<void> => {
      if (!document.hidden) await this.refresh(telemetry);
      if (!isOver) timer = setTimeout(() => void look(), EVERY_MS);
    };
    let timer = setTimeout(() => void look(), 0);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }

  /** False when the server did not take it. */
  async add(telemetry: Telemetry, utcUs: number, text: string): Promise<boolean> {
    return this.sent(telemetry, () => sendJson("POST", `/api/vehicles/${encodeURIComponent(this.vehicle)}/notes`, { utc_us: Math.round(utcUs), text }));
  }

  async remove(telemetry: Telemetry, note: TimeNote): Promise<boolean> {
    return this.sent(telemetry, () => sendJson("DELETE", `/api/notes/${note.id}`));
  }

  private async sent(telemetry: Telemetry, send: () => Promise<unknown>): Promise<boolean> {
    try {
      await send();
    } catch (error) {
      if (isExpected(error)) return false;
      throw error;
    }
    await this.refresh(telemetry);
    return true;
  }

  private async refresh(telemetry: Telemetry): Promise<void> {
    const vehicle = this.vehicle;
    let found: readonly TimeNote[];
    try {
      found = await getJson(`/api/vehicles/${encodeURIComponent(vehicle)}/notes`);
    } catch (error) {
      if (isExpected(error)) return; // The connection's own state tells.
      throw error;
    }
    if (vehicle !== this.vehicle || JSON.stringify(found) === JSON.stringify(this.all)) return;
    this.all = found;
    telemetry.markers.set(
      "notes",
      found.map((note) => ({
        id: String(note.id),
        kind: "note",
        fromUs: note.utc_us,
        toUs: null,
        text: `${note.text} (${note.author})`,
        onSelect: () => (this.opened = note),
      })),
    );
  }
}

const isExpected = (error: unknown): boolean => error instanceof SignedOutError || error instanceof UnreachableError || error instanceof RefusedError;

export const notes = new Notes();
