import type { Component } from "svelte";
import type { Telemetry } from "../app/telemetry.svelte";
import type { Key } from "../i18n/i18n.svelte";
import type { Role } from "../app/role";

export interface SectionProps {
  readonly telemetry: Telemetry;
}

/** A part of the page with an address of its own (`?section=id`): a folder brings one as `section.ts`, exporting `section`. */
export interface Section {
  /** Stands in the address: lower-case letters. */
  readonly id: string;
  readonly title: Key;
  /** Path of a 16 × 16 icon, drawn with a stroke. */
  readonly icon: string;
  /** Place in the navigation, from 0 (the live view). */
  readonly order: number;
  /** The least role that sees it. */
  readonly role: Role;
  /** The component, a chunk of its own. */
  readonly load: () => Promise<{ default: Component<SectionProps> }>;
}

const found = import.meta.glob<Section>("../*/section.ts", { eager: true, import: "section" });

/** All sections, in the order of the navigation. */
export const SECTIONS: readonly Section[] = Object.values(found).sort((a, b) => a.order - b.order);

/** The section of `live/section.ts`: written in both, for the folders are read before this file is. */
const LIVE = "live";

/** The section of this name, the live view where there is none. */
export function sectionOf(id: string | null): string {
  return SECTIONS.some((section) => section.id === id) ? id! : LIVE;
}
