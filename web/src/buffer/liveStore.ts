import { KIND_HISTORY, type ColumnsMessage } from "../protocol/columns";
import type { Moved, WatchedChannel, Watching } from "../protocol/messages";
import { ChannelBuffer } from "./channelBuffer";

/** Entries that a paused view keeps of channels which are not watched any more: it may come back to them. */
const MAX_KEPT = 1_000_000;

/**
 * What one subscription holds: a buffer per channel, the live edge, and a frozen copy while the view is paused.
 *
 * A new "watching" starts a new set of buffers. The old set stays in view, and goes on, until the new history is complete,
 * so that adding a channel does not make the curves blink.
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
  /** The frozen samples are as they were before a reset: what comes anew takes their place. */
  private isOutdated = false;

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
    if (![...(this.frozen ?? this.shown).values()].some((buffer) => buffer.length > 0)) this.showIncoming(this.incoming);
  }

  /** Takes a message in; true when it brought a sample newer than all before. */
  accept(message: ColumnsMessage): boolean {
    const isInShown = message.kind !== KIND_HISTORY || this.incoming === null;
    const { baseUs, tickUs } = message;
    let isNewer = false;
    for (const column of message.columns) {
      const name = this.names.get(column.index);
      if (name === undefined || column.dt.length === 0) continue;
      this.incoming?.get(name)?.insert(column, baseUs, tickUs);
      if (isInShown) {
        this.shown.get(name)?.insert(column, baseUs, tickUs);
        this.frozen?.get(name)?.insert(column, baseUs, tickUs, this.frozenEdgeUs);
      }
      const newestUs = baseUs + column.dt[column.dt.length - 1]! * tickUs;
      if (newestUs > this.edgeUs) {
        this.edgeUs = newestUs;
        isNewer = true;
      }
    }
    if (message.kind === KIND_HISTORY && message.isLast) {
      this.isHistoryComplete = true;
      if (this.incoming !== null) this.showIncoming(this.incoming);
      this.isOutdated = false;
    }
    // A buffer is never trimmed past what a paused view of it would still show.
    for (const buffers of [this.shown, this.incoming]) for (const buffer of buffers?.values() ?? []) buffer.trim(this.edgeUs - this.windowUs);
    return isNewer;
  }

  /** No more of the history comes: what has come is shown, with what was there before. */
  endHistory(): void {
    if (this.incoming === null) return;
    this.showIncoming(new Map([...this.incoming].map(([name, buffer]) => [name, ChannelBuffer.joined(buffer, this.shown.get(name) ?? buffer)])));
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
    this.isOutdated = true;
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

  private showIncoming(shown: Map<string, ChannelBuffer>): void {
    this.shown = shown;
    this.incoming = null;
    if (this.frozen === null) return;
    // The paused view takes over what the new history has of its time (added channels, a longer window), and keeps all else.
    const before = this.frozen;
    this.frozen = new Map([...shown].map(([name, buffer]) => [name, this.renewed(before.get(name), buffer.copyUntil(this.frozenEdgeUs))]));
    let kept = 0;
    for (const [name, buffer] of [...before].reverse()) {
      if (this.frozen.has(name) || this.isOutdated) continue;
      kept += buffer.length;
      if (kept <= MAX_KEPT) this.frozen.set(name, buffer);
    }
  }

  private renewed(before: ChannelBuffer | undefined, copy: ChannelBuffer): ChannelBuffer {
    if (before === undefined) return copy;
    return ChannelBuffer.joined(copy, this.isOutdated ? before.copyUntil(copy.oldestUs - this.bucketUs) : before);
  }
}
