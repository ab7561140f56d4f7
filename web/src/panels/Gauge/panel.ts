import { definePanel } from "../../extend/panels";
import { readName, readNumber } from "../../extend/settings";

export interface GaugeSettings extends Record<string, unknown> {
  readonly channel: string;
  readonly low: number | null;
  readonly high: number | null;
}

export const panel = definePanel<GaugeSettings>({
  kind: "gauge",
  title: "panel.gauge",
  icon: "M2 12a6.2 6.2 0 1112 0M8 11l3-4",
  size: { w: 3, h: 6, minW: 2, minH: 3 },
  fields: [
    { key: "channel", label: "setting.channel", type: "channel" },
    { key: "low", label: "setting.low", type: "number" },
    { key: "high", label: "setting.high", type: "number" },
  ],
  read: (value) => ({ channel: readName(value["channel"]), low: readNumber(value["low"]), high: readNumber(value["high"]) }),
  channels: (settings) => [settings.channel],
  drop: (settings, channel) => ({ ...settings, channel, low: null, high: null }),
  load: () => import("./Gauge.svelte"),
});
