import { definePanel } from "../../extend/panels";

export const panel = definePanel({
  kind: "laps",
  title: "panel.laps",
  icon: "M8 4v4.5l3 1.5M8 1.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13z",
  size: { w: 4, h: 9, minW: 3, minH: 3 },
  fields: [],
  read: () => ({}),
  channels: () => [],
  load: () => import("./LapTable.svelte"),
});
