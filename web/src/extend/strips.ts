import type { Component } from "svelte";
import type { Telemetry } from "../app/telemetry.svelte";

export interface StripProps {
  readonly telemetry: Telemetry;
  /** Pixels between the left and right edge of the component and those of the plots: time stands at the same x. */
  readonly left: number;
  readonly right: number;
}

/**
 * A thin strip under the charts on their time axis (about 14 px high). A folder brings one as `strip.ts`, exporting
 * `strip`. The time in view is `telemetry.time.range()`; `telemetry.loop.add(draw)` redraws with the charts.
 */
export interface Strip {
  readonly id: string;
  readonly order: number;
  readonly load: () => Promise<{ default: Component<StripProps> }>;
}

const found = import.meta.glob<Strip>("../*/strip.ts", { eager: true, import: "strip" });

export const STRIPS: readonly Strip[] = Object.values(found).sort((a, b) => a.order - b.order);
