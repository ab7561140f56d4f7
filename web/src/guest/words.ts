import { i18n } from "../i18n/i18n.svelte";

/** The texts of what a guest sees, in both languages. */
const en = {
  "over": "Finished run",
  "best": "best lap {time}",
  "driver": "Driver",
  "setup": "Set-up",
  "notes": "Notes",
  "ended.title": "This link has ended",
  "ended.text": "It expired, or whoever gave it took it back. Ask them for another.",
};

const fr: Record<Word, string> = {
  "over": "Session terminée",
  "best": "meilleur tour {time}",
  "driver": "Pilote",
  "setup": "Réglages",
  "notes": "Notes",
  "ended.title": "Ce lien n’est plus valable",
  "ended.text": "Il a expiré, ou la personne qui l’a donné l’a retiré. Demandez-lui-en un autre.",
};

export type Word = keyof typeof en;

/** The text of `key` in the current language. */
export function w(key: Word, values: Readonly<Record<string, string | number>> = {}): string {
  return (i18n.language === "fr" ? fr : en)[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
