import { definePanel } from "../../extend/panels";
import { readNames, withName } from "../../extend/settings";

export interface StripSettings extends Record<string, unknown> {
  readonly channels: readonly string[];
  /** Minimum, maximum and mean beside the values. */
  readonly hasStatistics: boolean;
}

export const MOST_CHANNELS = 24;

export const panel = definePanel<StripSettings>({
  kind: "strip",
  title: "panel.strip",
  icon: "M1.5 11l3.5-5 3 3.5L11 4l3.5 5M1.5 14h13",
  size: { w: 9, h: 5, minW: 3, minH: 3 },
  fields: [
    { key: "channels", label: "setting.channels", type: "channels", most: MOST_CHANNELS },
    { key: "hasStatistics", label: "setting.statistics", type: "boolean" },
  ],
  read: (value) => ({ channels: readNames(value["channels"], MOST_CHANNELS), hasStatistics: value["hasStatistics"] === true }),
  channels: (settings) => settings.channels,
  drop: (settings, channel) => {
    const channels = withName(settings.channels, channel, MOST_CHANNELS);
    return channels === null ? null : { ...settings, channels };
  },
  load: () => import("./StripChart.svelte"),
});
