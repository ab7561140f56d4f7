import { niceRange } from "../plot/range";
import type { Buffers, Frame, HistogramAnswer, HistogramQuery } from "./query";

/** How long the channel held values in each bin, over what is in view. A sample holds until the next, at most for a gap. */
export function findHistogram(buffers: Buffers, frame: Frame, query: HistogramQuery): HistogramAnswer | null {
  const buffer = buffers(query.channel);
  if (buffer === undefined) return null;
  const begin = buffer.lowerBound(frame.fromUs);
  const end = buffer.lowerBound(frame.toUs + 1);
  let least = Infinity;
  let greatest = -Infinity;
  for (let i = begin; i < end; i++) {
    const value = buffer.last[i]!;
    if (value < least && value > -Infinity) least = value;
    if (value > greatest && value < Infinity) greatest = value;
  }
  if (least > greatest) return null;
  const { low, high } = niceRange(least, greatest);
  const seconds = new Float64Array(query.bins);
  const gapUs = buffer.gapUs();
  for (let i = begin; i < end; i++) {
    const value = buffer.last[i]!;
    if (!Number.isFinite(value)) continue;
    const untilUs = i + 1 < buffer.end ? Math.min(buffer.times[i + 1]!, frame.toUs) : frame.toUs;
    const bin = Math.min(query.bins - 1, Math.floor(((value - low) / (high - low)) * query.bins));
    seconds[bin] = seconds[bin]! + Math.min(Math.max(untilUs - buffer.times[i]!, 0), gapUs) / 1e6;
  }
  return { seconds, low, high };
}
