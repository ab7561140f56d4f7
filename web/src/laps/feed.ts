import type { Feed } from "../extend/feeds";
import { t } from "../i18n/i18n.svelte";
import { lapTime } from "./text";

/** Laps of the newest session, as marks on the time line. */
export const feed: Feed = (telemetry, vehicle) =>
  telemetry.laps.follow(vehicle, () =>
    telemetry.markers.set(
      "laps",
      telemetry.laps.laps.map((lap) => ({
        id: String(lap.number),
        kind: "lap",
        fromUs: lap.utc_from_us,
        toUs: lap.utc_to_us,
        text: t("laps.mark", { n: lap.number, time: lapTime(lap.time_s) }),
      })),
    ),
  );
