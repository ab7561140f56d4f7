import { en, type Key } from "./en";
import { fr } from "./fr";

export type Language = "en" | "fr";
export type { Key } from "./en";

const TEXTS: Record<Language, Record<Key, string>> = { en, fr };
const STORED = "ved.language";

class I18n {
  language = $state<Language>("en");

  /** The stored choice, else the browser's language. */
  start(): void {
    const stored = localStorage.getItem(STORED);
    const wanted = stored ?? navigator.language;
    this.set(wanted.toLowerCase().startsWith("fr") ? "fr" : "en");
  }

  set(language: Language): void {
    this.language = language;
    document.documentElement.lang = language;
  }

  toggle(): void {
    this.set(this.language === "en" ? "fr" : "en");
    localStorage.setItem(STORED, this.language);
  }
}

export const i18n = new I18n();

/** The text of `key` in the current language. */
export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  return TEXTS[i18n.language][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The title in the current language, the other one where it is empty. */
export function titleOf(item: { readonly title_en: string; readonly title_fr: string }): string {
  return (i18n.language === "fr" ? item.title_fr || item.title_en : item.title_en || item.title_fr) || "";
}
