import type { Section } from "../extend/sections";

export const section: Section = {
  id: "sessions",
  title: "section.sessions",
  icon: "M3 3.5h10M3 8h10M3 12.5h6",
  order: 20,
  role: "viewer",
  load: () => import("./Sessions.svelte"),
};
