import type { Section } from "../extend/sections";

export const section: Section = {
  id: "maths",
  title: "section.maths",
  icon: "M12.5 3.5h-8l4 4.5-4 4.5h8",
  order: 60,
  role: "viewer",
  load: () => import("./Maths.svelte"),
};
