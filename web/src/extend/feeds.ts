import type { Telemetry } from "../app/telemetry.svelte";

/**
 * Work that goes on while a vehicle is shown, whichever section is open: alarms that ring, laps and notes that mark the
 * time line. A folder brings one as `feed.ts`, exporting `feed`, which starts it and gives back its end. Called again
 * for another vehicle. Keep it small (it is in the first load); import the rest lazily.
 */
export type Feed = (telemetry: Telemetry, vehicle: string) => () => void;

const found = import.meta.glob<Feed>("../*/feed.ts", { eager: true, import: "feed" });

const FEEDS: readonly Feed[] = Object.values(found);

/** Starts all feeds; gives back their end. */
export function startFeeds(telemetry: Telemetry, vehicle: string): () => void {
  const ends = FEEDS.map((feed) => feed(telemetry, vehicle));
  return () => ends.forEach((end) => end());
}
