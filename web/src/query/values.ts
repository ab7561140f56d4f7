import type { ChannelBuffer } from "../buffer/channelBuffer";
import type { Buffers, Frame, Reading, Statistics, ValuesAnswer, ValuesQuery } from "./query";

/** A value is old after so long; that of a slow channel, when the next one has been due for so long. */
const MIN_OLD_US = 1e6;
const SIZE_SAMPLES = 64;

/** What each channel shows at the reading time. */
export function readValues(buffers: Buffers, frame: Frame, query: ValuesQuery): ValuesAnswer {
  return query.channels.map((name) => {
    const buffer = buffers(name);
    return buffer === undefined ? null : read(buffer, frame, query.hasStatistics);
  });
}

function read(buffer: ChannelBuffer, frame: Frame, hasStatistics: boolean): Reading | null {
  const index = buffer.indexAt(frame.readUs);
  if (index < 0) return null;
  const us = buffer.times[index]!;
  const dueUs = buffer.dueAfterUs(index);
  return {
    us,
    value: buffer.last[index]!,
    isOld: frame.readUs - us > Math.max(MIN_OLD_US, dueUs + Math.min(dueUs, MIN_OLD_US)),
    size: sizeOf(buffer),
    statistics: hasStatistics ? statisticsOf(buffer, frame) : null,
  };
}

function sizeOf(buffer: ChannelBuffer): number {
  let size = 0;
  const step = Math.max(1, Math.floor(buffer.length / SIZE_SAMPLES));
  for (let i = buffer.start; i < buffer.end; i += step) {
    const here = Math.max(Math.abs(buffer.minimum[i]!), Math.abs(buffer.maximum[i]!));
    if (here > size && here < Infinity) size = here;
  }
  return size;
}

/** Minimum and maximum of all samples in view; the mean weighs each by the time it held. */
export function statisticsOf(buffer: ChannelBuffer, frame: Frame): Statistics {
  let minimum = Infinity;
  let maximum = -Infinity;
  let sum = 0;
  let weight = 0;
  const gapUs = buffer.gapUs();
  const end = buffer.lowerBound(frame.toUs + 1);
  for (let i = buffer.lowerBound(frame.fromUs); i < end; i++) {
    if (buffer.minimum[i]! < minimum) minimum = buffer.minimum[i]!;
    if (buffer.maximum[i]! > maximum) maximum = buffer.maximum[i]!;
    const value = buffer.last[i]!;
    if (value !== value) continue;
    const untilUs = i + 1 < buffer.end ? buffer.times[i + 1]! : frame.toUs;
    const held = Math.min(Math.max(untilUs - buffer.times[i]!, 1), gapUs);
    sum += value * held;
    weight += held;
  }
  const at = frame.anchorUs === null ? -1 : buffer.indexAt(frame.anchorUs);
  return {
    minimum: minimum <= maximum ? minimum : NaN,
    maximum: minimum <= maximum ? maximum : NaN,
    mean: weight > 0 ? sum / weight : NaN,
    anchor: at < 0 ? null : buffer.last[at]!,
  };
}
