import type { Section } from "../extend/sections";

export const section: Section = {
  id: "signals",
  title: "section.signals",
  icon: "M2 3h12M2 3v10h12V3M2 7h12M6 7v6",
  order: 70,
  role: "viewer",
  load: () => import("./Signals.svelte"),
};
