import { KIND_HISTORY, type ColumnsMessage } from "../protocol/columns";
import type { Moved, WatchedChannel, Watching } from "../protocol/messages";
import { ChannelBuffer } from "./channelBuffer";

/**
 * What one subscription holds: a buffer per channel, the live edge, and a frozen copy while the view is paused.
 *
 * A new "watching" starts a new set of buffers. The old set stays in view until the new history is complete, so that
 * adding a channel does not make the curves blink.
 */
export class LiveStore {
  channels: ReadonlyMap<string, WatchedChannel> = new Map();
  unknown: readonly string[] = [];
  /** The newest time known, -Infinity before the first sample. */
  edgeUs = -Infinity;
  windowUs = 0;
  bucketUs = 0;
  isHistoryComplete = false;
  private names = new Map<number, string>();
  private shown = new Map<string, ChannelBuffer>();
  private incoming: Map<string, ChannelBuffer> | null = null;
  private frozen: Map<string, ChannelBuffer> | null = null;
  private frozenEdgeUs = -Infinity;

  /** Buffer to draw: the frozen one while paused. */
  buffer(name: string): ChannelBuffer | undefined {
    return (this.frozen ?? this.shown).get(name);
  }

  startWatching(watching: Watching): void {
    this.channels = new Map(watching.channels.map((channel) => [channel.name, channel]));
    this.names = new Map(watching.channels.map((channel) => [channel.index, channel.name]));
    this.unknown = watching.unknown;
    this.windowUs = watching.window_s * 1e6;
    this.bucketUs = watching.bucket_us;
    this.isHistoryComplete = false;
    this.raiseEdge(watching.edge_utc_us);
    this.incoming = new Map(watching.channels.map((channel) => [channel.name, new ChannelBuffer(watching.bucket_us)]));
    if (this.frozen === null && ![...this.shown.values()].some((buffer) => buffer.length > 0)) this.showIncoming();
  }

  /** Takes a message in; true when it brought a sample newer than all before. */
  accept(message: ColumnsMessage): boolean {
    const buffers = this.incoming ?? this.shown;
    let isNewer = false;
    for (const column of message.columns) {
      const name = this.names.get(column.index);
      const buffer = name === undefined ? undefined : buffers.get(name);
      if (name === undefined || buffer === undefined) continue;
      buffer.insert(column, message.baseUs, message.tickUs);
      if (this.incoming === null) this.frozen?.get(name)?.insert(column, message.baseUs, message.tickUs, this.frozenEdgeUs);
      if (buffer.newestUs > this.edgeUs) {
        this.edgeUs = buffer.newestUs;
        isNewer = true;
      }
    }
    if (message.kind === KIND_HISTORY && message.isLast) {
      this.isHistoryComplete = true;
      if (this.incoming !== null) this.showIncoming();
    }
    // A buffer is never trimmed past what a paused view of it would still show.
    for (const buffer of buffers.values()) buffer.trim(this.edgeUs - this.windowUs);
    return isNewer;
  }

  /** False for samples that a paused view does not show. */
  isInView(message: ColumnsMessage): boolean {
    return this.frozen === null || message.baseUs <= this.frozenEdgeUs;
  }

  raiseEdge(us: number | null): void {
    if (us !== null && us > this.edgeUs) this.edgeUs = us;
  }

  /** Throws all samples away. */
  reset(): void {
    this.restart(null);
    this.unfreeze();
  }

  /** The server sends all anew. A paused view keeps its samples, at their new times where a better clock moved them. */
  restart(moved: Moved | null): void {
    this.edgeUs = -Infinity;
    this.shown = new Map();
    this.incoming = null;
    this.names = new Map();
    if (this.frozen === null || moved === null || this.frozenEdgeUs < moved.from_utc_us) return;
    for (const buffer of this.frozen.values()) buffer.move(moved.by_us);
    this.frozenEdgeUs += moved.by_us;
  }

  /** Keeps a copy of the samples until `edgeUs` in view. */
  freeze(edgeUs: number): void {
    if (this.frozen !== null) return;
    this.frozenEdgeUs = edgeUs;
    this.frozen = new Map([...this.shown].map(([name, buffer]) => [name, buffer.copyUntil(this.frozenEdgeUs)]));
  }

  unfreeze(): void {
    this.frozen = null;
    this.frozenEdgeUs = -Infinity;
  }

  private showIncoming(): void {
    if (this.incoming === null) return;
    this.shown = this.incoming;
    this.incoming = null;
    if (this.frozen === null) return;
    // The paused view takes over what the new history has of its time (added channels, a longer window), and keeps what
    // has left the window since.
    const before = this.frozen;
    const reachesFurther = (name: string, copy: ChannelBuffer): boolean => (before.get(name)?.oldestUs ?? Infinity) < copy.oldestUs - this.bucketUs;
    const copies = [...this.shown].map(([name, buffer]) => [name, buffer.copyUntil(this.frozenEdgeUs)] as const);
    this.frozen = new Map(copies.map(([name, copy]) => [name, reachesFurther(name, copy) ? before.get(name)! : copy]));
  }
}
