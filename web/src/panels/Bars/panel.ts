import { definePanel } from "../../extend/panels";
import { readNames, readNumber, withName } from "../../extend/settings";

export interface BarsSettings extends Record<string, unknown> {
  readonly channels: readonly string[];
  /** Ends of the bars in the DBC's unit; null: by the DBC or the samples. */
  readonly low: number | null;
  readonly high: number | null;
}

const MOST = 24;

export const panel = definePanel<BarsSettings>({
  kind: "bars",
  title: "panel.bars",
  icon: "M2 3h9M2 7h12M2 11h6M2 14.5h10",
  size: { w: 4, h: 6, minW: 2, minH: 2 },
  fields: [
    { key: "channels", label: "setting.channels", type: "channels", most: MOST },
    { key: "low", label: "setting.low", type: "number" },
    { key: "high", label: "setting.high", type: "number" },
  ],
  read: (value) => ({ channels: readNames(value["channels"], MOST), low: readNumber(value["low"]), high: readNumber(value["high"]) }),
  channels: (settings) => settings.channels,
  drop: (settings, channel) => {
    const channels = withName(settings.channels, channel, MOST);
    return channels === null ? null : { ...settings, channels };
  },
  load: () => import("./Bars.svelte"),
});
