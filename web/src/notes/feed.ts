import type { Feed } from "../extend/feeds";
import { notes } from "./notes.svelte";

/** Notes of the vehicle, as marks on the time line. */
export const feed: Feed = (telemetry, vehicle) => notes.follow(telemetry, vehicle);
