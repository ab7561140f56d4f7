import { definePanel } from "../../extend/panels";
import { readNames, withName } from "../../extend/settings";

export interface TilesSettings extends Record<string, unknown> {
  readonly channels: readonly string[];
}

const MOST = 16;

export const panel = definePanel<TilesSettings>({
  kind: "tiles",
  title: "panel.tiles",
  icon: "M2 2.5h5v4H2zM9 2.5h5v4H9zM2 9.5h5v4H2zM9 9.5h5v4H9z",
  size: { w: 3, h: 6, minW: 2, minH: 2 },
  narrowPx: ({ channels }) => 56 + 78 * Math.ceil(channels.length / 2),
  fields: [{ key: "channels", label: "setting.channels", type: "channels", most: MOST }],
  read: (value) => ({ channels: readNames(value["channels"], MOST) }),
  channels: (settings) => settings.channels,
  drop: (settings, channel) => {
    const channels = withName(settings.channels, channel, MOST);
    return channels === null ? null : { channels };
  },
  load: () => import("./Tiles.svelte"),
});
