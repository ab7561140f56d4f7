import type { Section } from "../extend/sections";

export const section: Section = {
  id: "settings",
  title: "section.settings",
  icon: "M2 4.5h6M12 4.5h2M2 11.5h2M8 11.5h6M8 4.5a2 2 0 104 0 2 2 0 10-4 0M4 11.5a2 2 0 104 0 2 2 0 10-4 0",
  order: 90,
  role: "guest",
  load: () => import("./PreferencesPage.svelte"),
};
