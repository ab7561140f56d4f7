import type { Lap } from "./rest";

/** The fastest whole lap. */
export function bestOf(laps: readonly Lap[]): Lap | undefined {
  return laps.filter((lap) => lap.is_whole).reduce<Lap | undefined>((best, lap) => (best === undefined || lap.time_s < best.time_s ? lap : best), undefined);
}

/**
 * The laps of an overlay, the reference first.
 *
 * `picked`: their numbers; none: the last whole lap, and the best where that is not the reference. `reference`: the number of a
 * whole lap; null, or a lap that is not there: the best.
 */
export function comparedLaps(laps: readonly Lap[], picked: readonly number[], reference: number | null): readonly Lap[] {
  const whole = laps.filter((lap) => lap.is_whole);
  const best = bestOf(whole);
  const first = whole.find((lap) => lap.number === reference) ?? best;
  if (first === undefined || best === undefined) return [];
  const wanted = picked.length > 0 ? picked : [best.number, ...whole.slice(-1).map((lap) => lap.number)];
  return [first, ...whole.filter((lap) => wanted.includes(lap.number) && lap !== first)];
}
