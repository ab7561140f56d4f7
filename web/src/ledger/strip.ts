import type { Strip } from "../extend/strips";

export const strip: Strip = { id: "ledger", order: 0, load: () => import("./LedgerStrip.svelte") };
