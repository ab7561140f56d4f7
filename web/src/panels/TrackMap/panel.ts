import { definePanel } from "../../extend/panels";
import { readName } from "../../extend/settings";

export interface MapSettings extends Record<string, unknown> {
  /** The channel that colours the track; empty: one colour. */
  readonly colour: string;
}

export const panel = definePanel<MapSettings>({
  kind: "map",
  title: "panel.map",
  icon: "M8 14.5s4.5-4.6 4.5-8a4.5 4.5 0 00-9 0c0 3.4 4.5 8 4.5 8zM8 5v3",
  size: { w: 4, h: 9, minW: 2, minH: 4 },
  fields: [{ key: "colour", label: "setting.colour", type: "channel" }],
  read: (value) => ({ colour: readName(value["colour"]) }),
  channels: (settings, vehicle) => [settings.colour, vehicle?.map?.latitude ?? "", vehicle?.map?.longitude ?? "", vehicle?.map?.valid ?? ""],
  drop: (_, channel) => ({ colour: channel }),
  load: () => import("./TrackMap.svelte"),
});
