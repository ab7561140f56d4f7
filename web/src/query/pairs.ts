import type { Buffers, Frame, PairsAnswer, PairsQuery } from "./query";
import { valueAt } from "./track";

/** More points than a panel can show apart. */
const MOST = 8000;

/** Values of `y` (and of the colour) against those of `x` that hold at the same time, of what is in view. */
export function findPairs(buffers: Buffers, frame: Frame, query: PairsQuery): PairsAnswer | null {
  const x = buffers(query.x);
  const y = buffers(query.y);
  if (x === undefined || y === undefined) return null;
  const colour = query.colour === null ? undefined : buffers(query.colour);
  // At the times of the one that comes more often.
  const leader = x.medianDistanceUs() <= y.medianDistanceUs() || y.length < 2 ? x : y;
  const begin = leader.lowerBound(frame.fromUs);
  const end = leader.lowerBound(frame.toUs + 1);
  const step = Math.max(1, Math.ceil((end - begin) / MOST));
  const most = Math.max(0, Math.ceil((end - begin) / step));
  const answer = {
    times: new Float64Array(most),
    x: new Float64Array(most),
    y: new Float64Array(most),
    colours: new Float64Array(query.colour === null ? 0 : most),
  };
  let n = 0;
  for (let i = begin; i < end; i += step) {
    const us = leader.times[i]!;
    const left = leader === x ? x.last[i]! : valueAt(x, us);
    const right = leader === y ? y.last[i]! : valueAt(y, us);
    if (!Number.isFinite(left) || !Number.isFinite(right)) continue;
    answer.times[n] = us;
    answer.x[n] = left;
    answer.y[n] = right;
    if (query.colour !== null) answer.colours[n] = colour === undefined ? NaN : valueAt(colour, us);
    n++;
  }
  return { n, ...answer };
}
