import type { Feed } from "../extend/feeds";
import { titleOf } from "../i18n/i18n.svelte";
import { markerOf } from "./alarm";
import { Siren } from "./sound";
import { alarms } from "./store.svelte";

const LOAD_AGAIN_MS = 30_000;
const SAVED_AFTER_MS = 2000;
const CLOCK_MS = 1000;
const siren = new Siren();

/** Hears the alarms of the vehicle: sound, flashing title, marks on the time axis. */
export const feed: Feed = (telemetry, vehicle) => {
  if (!telemetry.may("viewer")) return () => undefined;
  alarms.clear();
  const endHearing = telemetry.listen("alarm", (message) => {
    if (message["vehicle"] === vehicle) alarms.hear(message["alarm"]);
  });
  void alarms.load(vehicle);
  // An alarm is told before the database has it: what fell between is read a little later.
  const soon = setTimeout(() => void alarms.load(vehicle), SAVED_AFTER_MS);
  const again = setInterval(() => !document.hidden && void alarms.load(vehicle), LOAD_AGAIN_MS);
  const clock = setInterval(() => (alarms.nowUs = Date.now() * 1000), CLOCK_MS);
  const endEffects = $effect.root(() => {
    $effect(() => {
      const first = alarms.loud[0];
      siren.set(first === undefined ? null : titleOf(first), () => alarms.isMuted);
    });
    $effect(() => {
      const open = (): void => telemetry.open("alarms");
      telemetry.markers.set(
        "alarms",
        alarms.newest.map((alarm) => markerOf(alarm, titleOf(alarm), open)),
      );
    });
    $effect(() => {
      if (telemetry.connection === "open") void alarms.load(vehicle);
    });
  });
  return () => {
    endHearing();
    endEffects();
    clearTimeout(soon);
    clearInterval(again);
    clearInterval(clock);
    siren.set(null, () => true);
    alarms.clear();
  };
};
