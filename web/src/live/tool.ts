import type { Key } from "../i18n/en";

/** One thing to do with the time in view: an icon beside the line, or a button behind "more". */
export interface Tool {
  readonly text: Key;
  /** Path of a 16 × 16 icon, drawn with a stroke. */
  readonly icon: string;
  readonly act: () => void;
  readonly isOff?: boolean;
  readonly isOn?: boolean;
  /** Often done several times in a row: "more" stays open. */
  readonly isRepeated?: boolean;
}
