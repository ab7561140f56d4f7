import type { Section } from "../extend/sections";

export const section: Section = {
  id: "health",
  title: "section.health",
  icon: "M8 13.5C3 10 1.8 7.2 2.6 5.2c.9-2.2 3.9-2.4 5.4.2 1.5-2.6 4.5-2.4 5.4-.2.8 2-.4 4.8-5.4 8.3z",
  order: 80,
  role: "viewer",
  load: () => import("./Health.svelte"),
};
