import type { Section } from "../extend/sections";

export const section: Section = {
  id: "alarms",
  title: "section.alarms",
  icon: "M8 1.5L15.5 14.5H.5zM8 6v4m0 1.8v.4",
  order: 20,
  role: "viewer",
  load: () => import("./AlarmsPage.svelte"),
};
