import { definePanel } from "../../extend/panels";
import { readName, readNumber } from "../../extend/settings";

export interface HistogramSettings extends Record<string, unknown> {
  readonly channel: string;
  readonly bins: number;
}

const DEFAULT_BINS = 30;

export const panel = definePanel<HistogramSettings>({
  kind: "histogram",
  title: "panel.histogram",
  icon: "M2 14h12M3 14V9h2.5v5M6.7 14V4h2.6v10M10.5 14V7H13v7",
  size: { w: 4, h: 6, minW: 2, minH: 3 },
  fields: [
    { key: "channel", label: "setting.channel", type: "channel" },
    { key: "bins", label: "setting.bins", type: "number", least: 5, most: 100 },
  ],
  read: (value) => ({ channel: readName(value["channel"]), bins: Math.min(100, Math.max(5, Math.round(readNumber(value["bins"]) ?? DEFAULT_BINS))) }),
  channels: (settings) => [settings.channel],
  drop: (settings, channel) => ({ ...settings, channel }),
  load: () => import("./Histogram.svelte"),
});
