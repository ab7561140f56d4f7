import type { Section } from "../extend/sections";

export const section: Section = {
  id: "people",
  title: "section.people",
  icon: "M6 8a2.5 2.5 0 100-5 2.5 2.5 0 000 5zM1.5 13.5c.4-2.6 2-4 4.5-4s4.1 1.4 4.5 4M11 3.2a2.3 2.3 0 010 4.5M12.2 9.7c1.3.5 2.1 1.7 2.4 3.8",
  order: 85,
  role: "viewer",
  load: () => import("./People.svelte"),
};
