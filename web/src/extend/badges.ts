import type { Component } from "svelte";
import type { Telemetry } from "../app/telemetry.svelte";

export interface BadgeProps {
  readonly telemetry: Telemetry;
}

/** Something small in the top bar, beside the state lamp (a bell with its count). A folder brings one as `badge.ts`, exporting `badge`. */
export interface Badge {
  readonly id: string;
  readonly order: number;
  readonly load: () => Promise<{ default: Component<BadgeProps> }>;
}

const found = import.meta.glob<Badge>("../*/badge.ts", { eager: true, import: "badge" });

export const BADGES: readonly Badge[] = Object.values(found).sort((a, b) => a.order - b.order);
