import type { Reading } from "../../query/query";
import { scaleOf, type Scale } from "../../plot/colourScale";

export interface Summary {
  /** Least and greatest value, null without any. */
  readonly ends: Scale | null;
  readonly mean: number;
  /** Nothing new: the figures are of the last values that there were. */
  readonly isOld: boolean;
  /** Cells that are not counted, for their value is old. */
  readonly left: number;
  /** Places of the first cells with the least and the greatest value; empty where all are the same. */
  readonly extremes: readonly number[];
}

/** Cells that have stopped arriving are not counted among those that have not: a dead module's last minimum is no news. */
export function summaryOf(readings: readonly (Reading | null | undefined)[], isStale: boolean): Summary {
  const valueOf = (reading: Reading | null | undefined): number => reading?.value ?? NaN;
  const isFresh = (reading: Reading | null | undefined): boolean => reading != null && !reading.isOld && !isStale;
  const known = readings.map((reading) => !Number.isNaN(valueOf(reading)));
  const fresh = readings.map((reading, i) => known[i]! && isFresh(reading));
  const isOld = !fresh.includes(true);
  const counted = isOld ? known : fresh;
  const values = readings.filter((_, i) => counted[i]).map(valueOf);
  const ends = scaleOf(values);
  return {
    ends,
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    isOld,
    left: isOld ? 0 : known.filter((one, i) => one && !fresh[i]).length,
    extremes: ends === null || ends.low === ends.high ? [] : [ends.low, ends.high].map((end) => readings.findIndex((reading, i) => counted[i] && valueOf(reading) === end)),
  };
}
