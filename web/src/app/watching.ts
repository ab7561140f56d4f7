import { MAX_CHANNELS } from "../settings/view";
import type { PastRequest, WatchRequest } from "../source/liveSocket";
import { closerPart, type Part } from "../time/closer";
import type { TimeRange } from "../time/timeRange";

const DELAY_MS = 120;

/** What is in view, and whom to ask. */
interface Watcher {
  /** Null: no vehicle is in view. */
  readonly wish: () => Omit<WatchRequest, "window_s"> | null;
  /** The window that is needed, of the same samples or of others (`isAnew`). */
  readonly windowS: (isAnew: boolean) => number;
  /** The window that was asked for last. */
  readonly askedS: () => number;
  /** The part in view; null while live. */
  readonly paused: () => TimeRange | null;
  readonly watch: (request: WatchRequest, isOther: boolean) => void;
  readonly lookBack: (request: PastRequest | null) => void;
}

/** Asks the server for what is in view, when it is another thing than was asked for, and not for each step on the way. */
export class Watching {
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** What is watched, but for the window. */
  private asked = "";
  /** The part of the past that is asked for in finer samples. */
  private askedPart: Part | null = null;

  constructor(private readonly watcher: Watcher) {}

  /** It will be asked soon. */
  get isDue(): boolean {
    return this.timer !== undefined;
  }

  /** All is asked for again, whatever was asked for. */
  forget(): void {
    this.asked = "";
  }

  soon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), DELAY_MS);
  }

  /** Time went on, or the view moved: another window or another part may be needed. */
  look(): void {
    if (this.watcher.windowS(false) !== this.watcher.askedS() || this.wantedPart() !== this.askedPart) this.soon();
  }

  send(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const all = this.watcher.wish();
    if (all === null) return;
    const wish = { ...all, channels: all.channels.slice(0, MAX_CHANNELS) };
    const asked = JSON.stringify({ ...wish, channels: [...wish.channels].sort() }); // Another order of the same panels needs no new history.
    const isOther = asked !== this.asked;
    const windowS = this.watcher.windowS(isOther);
    if (isOther || windowS !== this.watcher.askedS()) {
      this.asked = asked;
      this.watcher.watch({ ...wish, window_s: windowS }, isOther);
    }
    if (isOther) this.askedPart = null;
    const part = this.wantedPart();
    if (part === this.askedPart && !isOther) return;
    this.askedPart = part;
    this.watcher.lookBack(part && { ...wish, window_s: (part.toUs - part.fromUs) / 1e6, until_utc_us: part.toUs });
  }

  /** Long windows have coarse samples: of what is in view, where it is much shorter, finer ones are asked for. */
  private wantedPart(): Part | null {
    const paused = this.watcher.paused();
    const wish = this.watcher.wish();
    if (paused === null || wish === null) return null;
    const channels = Math.min(wish.channels.length, MAX_CHANNELS);
    return closerPart(paused, { rateHz: wish.rate_hz, channels, windowS: this.watcher.askedS() }, this.askedPart);
  }
}
