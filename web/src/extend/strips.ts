import type { Component } from "svelte";
import type { Telemetry } from "../app/telemetry.svelte";
import type { TimeRange } from "../time/timeRange";

export interface StripProps {
  readonly telemetry: Telemetry;
  /** The time from the left to the right edge of the component. Read it when drawing: it moves while live. */
  readonly range: () => TimeRange;
}

/**
 * A thin strip under the charts on the time line of the window (about 10 px high). A folder brings one as `strip.ts`,
 * exporting `strip`. `telemetry.loop.add(draw)` redraws with the charts.
 */
export interface Strip {
  readonly id: string;
  readonly order: number;
  readonly load: () => Promise<{ default: Component<StripProps> }>;
}

const found = import.meta.glob<Strip>("../*/strip.ts", { eager: true, import: "strip" });

export const STRIPS: readonly Strip[] = Object.values(found).sort((a, b) => a.order - b.order);
