const MOST = 100;

/** Undo and redo of immutable states. */
export class History<T> {
  private past: readonly T[] = [];
  private future: readonly T[] = [];

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** `before` was left for a new state. */
  push(before: T): void {
    this.past = [...this.past.slice(1 - MOST), before];
    this.future = [];
  }

  /** The state before, given the one now; undefined where there is none. */
  undo(now: T): T | undefined {
    const before = this.past.at(-1);
    if (before === undefined) return undefined;
    this.past = this.past.slice(0, -1);
    this.future = [...this.future, now];
    return before;
  }

  redo(now: T): T | undefined {
    const next = this.future.at(-1);
    if (next === undefined) return undefined;
    this.future = this.future.slice(0, -1);
    this.past = [...this.past, now];
    return next;
  }
}
