/** A short message at the bottom of the page that goes by itself, with a way to take back what it tells of. */
export interface Toast {
  readonly text: string;
  readonly action?: {
    readonly text: string;
    readonly act: () => void;
    /** False when it would do something else by now: the message goes. */
    readonly isValid: () => boolean;
  };
}

/** As long as a person needs to see what a wrong tap did. */
export const SHOWN_MS = 10_000;

export class Toasts {
  shown = $state.raw<Toast | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;

  show(toast: Toast): void {
    clearTimeout(this.timer);
    this.shown = toast;
    this.timer = setTimeout(() => this.hide(), SHOWN_MS);
  }

  /** Tells of the change of a workbook that was made just now: it is taken back while it is the last one. */
  undoable(text: string, undo: string, books: { readonly current: unknown; undo: () => void }): void {
    const after = books.current;
    this.show({ text, action: { text: undo, act: () => books.undo(), isValid: () => books.current === after } });
  }

  hide(): void {
    clearTimeout(this.timer);
    this.shown = null;
  }

  /** Takes back what the message tells of, unless that is no longer the last change. */
  act(): void {
    const action = this.shown?.action;
    this.hide();
    if (action?.isValid() === true) action.act();
  }
}

export const toasts = new Toasts();
