import { definePanel } from "../../extend/panels";
import { readName } from "../../extend/settings";

export interface XySettings extends Record<string, unknown> {
  readonly x: string;
  readonly y: string;
  readonly colour: string;
}

export const panel = definePanel<XySettings>({
  kind: "xy",
  title: "panel.xy",
  icon: "M2 2v12h12M5 11h.01M7 8h.01M9.5 9h.01M10 5.5h.01M12.5 4h.01",
  size: { w: 4, h: 8, minW: 2, minH: 4 },
  fields: [
    { key: "x", label: "setting.x", type: "channel" },
    { key: "y", label: "setting.y", type: "channel" },
    { key: "colour", label: "setting.colour", type: "channel" },
  ],
  read: (value) => ({ x: readName(value["x"]), y: readName(value["y"]), colour: readName(value["colour"]) }),
  channels: (settings) => [settings.x, settings.y, settings.colour],
  drop: (settings, channel) => (settings.x === "" ? { ...settings, x: channel } : settings.y === "" ? { ...settings, y: channel } : { ...settings, colour: channel }),
  load: () => import("./XyPlot.svelte"),
});
