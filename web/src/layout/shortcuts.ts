import type { Key } from "../i18n/en";

/**
 * The keys of the page: handlers are called by these names, and the help shows these lines. A key is written as
 * `KeyboardEvent.key` has it, with `Ctrl+` (Cmd on a Mac) and then `Shift+` before it.
 */
export const KEYS = {
  pause: [" "],
  search: ["/"],
  back: ["ArrowLeft"],
  forth: ["ArrowRight"],
  earlier: ["b"],
  nearer: ["+", "="],
  wider: ["-"],
  anchor: ["d"],
  sheet: ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
  previous: ["PageUp"],
  next: ["PageDown"],
  add: ["a"],
  arrange: ["e"],
  undo: ["u", "Ctrl+z"],
  redo: ["U", "Ctrl+Shift+z"],
  workbook: ["w"],
  note: ["n"],
  screen: ["k"],
  theme: ["t"],
  language: ["l"],
  help: ["?"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type Act = keyof typeof KEYS;

/** Keys of the channel search, which has the focus there and hears them itself. */
export const SEARCH_KEYS = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Enter", "F2", "Escape"] as const;

/** One line of the help: what its keys do. */
export interface HelpLine {
  readonly text: Key;
  readonly keys: readonly string[];
}

const line = (text: Key, ...acts: readonly Act[]): HelpLine => ({ text, keys: acts.flatMap((act) => KEYS[act]) });

export const PAGE_LINES: readonly HelpLine[] = [
  line("help.key.space", "pause"),
  line("help.key.search", "search"),
  line("help.key.arrows", "back", "forth"),
  line("scrub.earlier", "earlier"),
  line("help.key.zoom", "nearer", "wider"),
  line("help.key.delta", "anchor"),
  line("help.key.sheets", "sheet"),
  line("help.key.turn", "previous", "next"),
  line("panel.add", "add"),
  line("sheet.arrange", "arrange"),
  line("help.key.undo", "undo", "redo"),
  line("workbook.menu", "workbook"),
  line("note.add", "note"),
  line("tools.kiosk", "screen"),
  line("help.key.theme", "theme"),
  line("help.key.language", "language"),
  line("help.key.help", "help"),
];

export const SEARCH_LINES: readonly HelpLine[] = [
  { text: "help.key.list", keys: SEARCH_KEYS.slice(0, 4) },
  { text: "help.key.take", keys: ["Enter"] },
  { text: "help.key.star", keys: ["F2"] },
  { text: "help.key.leave", keys: ["Escape"] },
];

const ACTS = new Map<string, Act>((Object.keys(KEYS) as Act[]).flatMap((act) => KEYS[act].map((key) => [key, act] as const)));

type Pressed = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey" | "altKey">;

/** What a press means, undefined where it is no key of the page. */
export function actOf(event: Pressed): Act | undefined {
  if (event.altKey) return undefined;
  if (!event.ctrlKey && !event.metaKey) return ACTS.get(event.key);
  return ACTS.get(`Ctrl+${event.shiftKey ? "Shift+" : ""}${event.key.toLowerCase()}`);
}

/** Handler of the page's keys: silent while a person types, a dialog is open, or a button takes the space bar. */
export function shortcuts(handlers: Partial<Readonly<Record<Act, (key: string) => unknown>>>): (event: KeyboardEvent) => void {
  return (event) => {
    const act = actOf(event);
    const handle = act === undefined ? undefined : handlers[act];
    if (handle === undefined || event.defaultPrevented) return;
    const target = event.target;
    if (document.querySelector("dialog[open]") !== null) return;
    if (target instanceof Element && target.closest("input, select, textarea, [contenteditable]") !== null) return;
    if (event.key === " " && target instanceof Element && target.closest("button, [role=button]") !== null) return;
    event.preventDefault();
    handle(event.key);
  };
}
