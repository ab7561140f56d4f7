import type { Badge } from "../extend/badges";

export const badge: Badge = { id: "alarms", order: 0, load: () => import("./AlarmBadge.svelte") };
