import { definePanel } from "../../extend/panels";

export interface AlarmListSettings extends Record<string, unknown> {
  /** Below the open alarms those that are over, the newest first. */
  readonly over: boolean;
}

export const panel = definePanel<AlarmListSettings>({
  kind: "alarms",
  title: "panel.alarms",
  icon: "M3.5 11.5V7a4.5 4.5 0 019 0v4.5l1 1.2h-11zM6.5 14.2h3",
  size: { w: 4, h: 7, minW: 3, minH: 3 },
  narrowPx: () => 280,
  fields: [{ key: "over", label: "setting.alarms.over", type: "boolean" }],
  read: (value) => ({ over: value["over"] === true }),
  channels: () => [],
  load: () => import("./AlarmList.svelte"),
});
