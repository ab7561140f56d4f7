import { definePanel } from "../../extend/panels";

export interface RawTraceSettings extends Record<string, unknown> {
  /** Only ids that no DBC knows. */
  readonly unknownOnly: boolean;
}

export const panel = definePanel<RawTraceSettings>({
  kind: "raw",
  title: "panel.raw",
  icon: "M2 3h2v4H2zM7 3h2v4H7zM12 3h2v4h-2zM2 9.5h2v4H2zM7 9.5h7",
  size: { w: 6, h: 8, minW: 3, minH: 4 },
  fields: [{ key: "unknownOnly", label: "setting.raw.unknown", type: "boolean" }],
  read: (value) => ({ unknownOnly: value["unknownOnly"] === true }),
  channels: () => [],
  load: () => import("./RawTrace.svelte"),
});
