import type { Component } from "svelte";
import type { Telemetry } from "../app/telemetry.svelte";
import type { Key } from "../i18n/i18n.svelte";
import type { VehicleInfo } from "../protocol/messages";

/** What a person may set of a panel; the form is made of it. */
export type Field =
  | { readonly key: string; readonly label: Key; readonly type: "channels"; readonly most: number }
  | { readonly key: string; readonly label: Key; readonly type: "channel" }
  | { readonly key: string; readonly label: Key; readonly type: "number"; readonly least?: number; readonly most?: number }
  | { readonly key: string; readonly label: Key; readonly type: "boolean" }
  | { readonly key: string; readonly label: Key; readonly type: "choice"; readonly options: readonly (readonly [value: string, text: Key])[] };

/** Plain JSON, kept in the workbook. */
export type Settings = Readonly<Record<string, unknown>>;

export interface PanelProps<S extends Settings = Settings> {
  readonly telemetry: Telemetry;
  /** Already checked and completed by the definition's `read`. */
  readonly settings: S;
  readonly title: string;
  /** Opens the channel picker for this panel. */
  readonly onPick: () => void;
  /** Keeps changed settings; goes into the undo history. */
  readonly onChange: (settings: S) => void;
}

/**
 * A kind of panel. A folder `panels/<Name>/` brings one as `panel.ts`, exporting `panel`.
 *
 * The component fills its frame; the frame brings title, buttons and the border. Its data comes by `liveQuery`
 * (engine/liveQuery.svelte.ts): samples never pass through Svelte.
 */
export interface PanelDefinition<S extends Settings = Settings> {
  /** Stands in saved workbooks: never changed. */
  readonly kind: string;
  readonly title: Key;
  /** Path of a 16 × 16 icon, drawn with a stroke. */
  readonly icon: string;
  /** Columns (of 12) and rows (of about 36 px) that a new one takes, and the least. */
  readonly size: { readonly w: number; readonly h: number; readonly minW: number; readonly minH: number };
  /** Its height in pixels where panels stand under each other on a phone; without it, by its rows. */
  readonly narrowPx?: (settings: S) => number;
  readonly fields: readonly Field[];
  /** Makes settings of whatever stands in a workbook: defaults for what is missing or makes no sense. */
  readonly read: (value: Settings) => S;
  /** The channels that the page must watch for it. */
  readonly channels: (settings: S, vehicle: VehicleInfo | null) => readonly string[];
  /** The settings with a channel dropped onto the panel; null when it takes none. */
  readonly drop?: (settings: S, channel: string) => S | null;
  readonly load: () => Promise<{ default: Component<PanelProps<S>> }>;
}

/** Gives the definition its exact types inside, and the common type outside. */
export function definePanel<S extends Settings>(definition: PanelDefinition<S>): PanelDefinition {
  return definition as unknown as PanelDefinition;
}

const found = import.meta.glob<PanelDefinition>("../panels/*/panel.ts", { eager: true, import: "panel" });

/** All kinds of panels, by name of their folder. */
export const PANELS: readonly PanelDefinition[] = Object.values(found);

const BY_KIND = new Map(PANELS.map((panel) => [panel.kind, panel]));

export function panelOf(kind: string): PanelDefinition | undefined {
  return BY_KIND.get(kind);
}
