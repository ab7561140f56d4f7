import { definePanel } from "../../extend/panels";
import { readNames, readNumber, withName } from "../../extend/settings";

export interface MatrixSettings extends Record<string, unknown> {
  readonly channels: readonly string[];
  /** Ends of the colour scale in the DBC's unit; null: the least and greatest value shown. */
  readonly low: number | null;
  readonly high: number | null;
}

const MOST = 160;

export const panel = definePanel<MatrixSettings>({
  kind: "matrix",
  title: "panel.matrix",
  icon: "M2 2h12v12H2zM2 6h12M2 10h12M6 2v12M10 2v12",
  size: { w: 6, h: 8, minW: 3, minH: 3 },
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
  load: () => import("./Matrix.svelte"),
});
