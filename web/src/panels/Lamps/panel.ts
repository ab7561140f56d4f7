import { definePanel } from "../../extend/panels";
import { readNames, withName } from "../../extend/settings";

export interface LampsSettings extends Record<string, unknown> {
  readonly channels: readonly string[];
}

const MOST = 32;

export const panel = definePanel<LampsSettings>({
  kind: "lamps",
  title: "panel.lamps",
  icon: "M5 8a3 3 0 106 0 3 3 0 10-6 0M8 1v2M8 13v2M1 8h2M13 8h2",
  size: { w: 6, h: 4, minW: 2, minH: 2 },
  narrowPx: ({ channels }) => 60 + 36 * Math.ceil(channels.length / 2),
  fields: [{ key: "channels", label: "setting.channels", type: "channels", most: MOST }],
  read: (value) => ({ channels: readNames(value["channels"], MOST) }),
  channels: (settings) => settings.channels,
  drop: (settings, channel) => {
    const channels = withName(settings.channels, channel, MOST);
    return channels === null ? null : { channels };
  },
  load: () => import("./Lamps.svelte"),
});
