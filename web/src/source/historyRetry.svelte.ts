const FIRST_MS = 1000;
const MAX_TRIES = 6;

/** When the server cannot read a history, it is asked again, some times and ever later. */
export class HistoryRetry {
  /** What the server said, null where all is well. */
  reason = $state<string | null>(null);
  /** It is asked again by itself. */
  isTrying = $state(false);
  private tries = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly again: () => void) {}

  failed(reason: string): void {
    this.reason = reason;
    clearTimeout(this.timer);
    this.isTrying = this.tries < MAX_TRIES;
    if (this.isTrying) this.timer = setTimeout(this.again, FIRST_MS * 2 ** this.tries++);
  }

  /** It came, or something else is asked for. */
  reset(): void {
    clearTimeout(this.timer);
    this.tries = 0;
    this.reason = null;
    this.isTrying = false;
  }
}
