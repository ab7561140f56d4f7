import type { Section } from "../extend/sections";

export const section: Section = {
  id: "live",
  title: "section.live",
  icon: "M1.5 8.5h3l2-5 3 9 2-4h3",
  order: 0,
  role: "guest",
  load: () => import("./Live.svelte"),
};
