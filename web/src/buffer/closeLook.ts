import { KIND_HISTORY, type ColumnsMessage } from "../protocol/columns";
import type { Watching } from "../protocol/messages";
import { ChannelBuffer } from "./channelBuffer";

/** Of fewer samples nothing can be said of how often a channel comes. */
const MIN_ENTRIES = 3;

/** A part of the past in finer samples than the subscription has that follows the edge. */
export class CloseLook {
  readonly fromUs: number;
  readonly toUs: number;
  readonly bucketUs: number;
  isComplete = false;
  private readonly names: ReadonlyMap<number, string>;
  private readonly buffers: ReadonlyMap<string, ChannelBuffer>;

  constructor(watching: Watching) {
    this.toUs = watching.edge_utc_us ?? -Infinity;
    this.fromUs = this.toUs - watching.window_s * 1e6;
    this.bucketUs = watching.bucket_us;
    this.names = new Map(watching.channels.map((channel) => [channel.index, channel.name]));
    this.buffers = new Map(watching.channels.map((channel) => [channel.name, new ChannelBuffer(watching.bucket_us)]));
  }

  /** Takes in its history, and increments of the vehicle: some come late for this time. */
  accept(message: ColumnsMessage): void {
    const { baseUs, tickUs } = message;
    for (const column of message.columns) {
      const name = this.names.get(column.index);
      if (name !== undefined && column.dt.length > 0) this.buffers.get(name)?.insert(column, baseUs, tickUs, this.toUs);
    }
    if (message.kind === KIND_HISTORY && message.isLast) this.isComplete = true;
  }

  covers(fromUs: number, toUs: number): boolean {
    return this.isComplete && this.fromUs <= fromUs && toUs <= this.toUs;
  }

  /** The samples of a channel, where there are enough of them, also at or before `us`. */
  buffer(name: string, us = Infinity): ChannelBuffer | undefined {
    const buffer = this.buffers.get(name);
    return buffer !== undefined && buffer.length >= MIN_ENTRIES && buffer.oldestUs <= us ? buffer : undefined;
  }
}
