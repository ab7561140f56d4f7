import { definePanel } from "../../extend/panels";
import { readNames, readOneOf, withName } from "../../extend/settings";

export interface OverlaySettings extends Record<string, unknown> {
  readonly channels: readonly string[];
  readonly axis: "distance" | "time";
}

const MOST = 8;

export const panel = definePanel<OverlaySettings>({
  kind: "overlay",
  title: "panel.overlay",
  icon: "M1.5 9c3-8 5-6 6.5-3s3.5 4 6.5-3M1.5 13c3-6 5-5 6.5-3s3.5 3 6.5-2",
  size: { w: 8, h: 12, minW: 4, minH: 5 },
  fields: [
    { key: "channels", label: "setting.channels", type: "channels", most: MOST },
    {
      key: "axis",
      label: "setting.axis",
      type: "choice",
      options: [
        ["distance", "overlay.distance"],
        ["time", "overlay.time"],
      ],
    },
  ],
  read: (value) => ({ channels: readNames(value["channels"], MOST), axis: readOneOf(value["axis"], ["distance", "time"] as const) }),
  // Laps come from the lake, not from what is watched.
  channels: () => [],
  drop: (settings, channel) => {
    const channels = withName(settings.channels, channel, MOST);
    return channels === null ? null : { ...settings, channels };
  },
  load: () => import("./LapOverlay.svelte"),
});
