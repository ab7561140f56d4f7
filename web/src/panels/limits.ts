import type { ChannelInfo } from "../protocol/messages";
import type { Reading } from "../query/query";
import { niceRange } from "../plot/range";

/** Where a bar or a gauge begins and ends: as set, else by the DBC unless its range is far too wide, else by the samples. */
export function limitsOf(info: ChannelInfo | undefined, low: number | null, high: number | null, reading: Reading | null | undefined): { low: number; high: number } {
  const size = reading?.size ?? 0;
  const least = info?.minimum ?? null;
  const most = info?.maximum ?? null;
  const hasRange = least !== null && most !== null && most > least && (size === 0 || Math.max(Math.abs(least), Math.abs(most)) <= 20 * size);
  const found = hasRange ? { low: least, high: most } : niceRange(Math.min(0, reading?.value ?? 0, info?.minimum != null && info.minimum < 0 ? -size : 0), Math.max(size, reading?.value ?? 0));
  const limits = { low: low ?? found.low, high: high ?? found.high };
  return limits.high > limits.low ? limits : { low: limits.low, high: limits.low + 1 };
}
