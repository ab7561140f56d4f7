import { definePanel } from "../../extend/panels";
import { readName } from "../../extend/settings";

export interface GgSettings extends Record<string, unknown> {
  readonly longitudinal: string;
  readonly lateral: string;
  readonly colour: string;
}

export const panel = definePanel<GgSettings>({
  kind: "gg",
  title: "panel.gg",
  icon: "M8 1.5v13M1.5 8h13M3.5 8a4.5 4.5 0 109 0 4.5 4.5 0 10-9 0",
  size: { w: 4, h: 9, minW: 2, minH: 4 },
  fields: [
    { key: "longitudinal", label: "setting.longitudinal", type: "channel" },
    { key: "lateral", label: "setting.lateral", type: "channel" },
    { key: "colour", label: "setting.colour", type: "channel" },
  ],
  read: (value) => ({ longitudinal: readName(value["longitudinal"]), lateral: readName(value["lateral"]), colour: readName(value["colour"]) }),
  channels: (settings) => [settings.longitudinal, settings.lateral, settings.colour],
  drop: (settings, channel) => ({ ...settings, colour: channel }),
  load: () => import("./GgDiagram.svelte"),
});
