import { i18n } from "../i18n/i18n.svelte";

const en = {
  "list": "Maths channels",
  "list.hint": "Computed from other channels, with the same values live and in history. They stand in the channel search as Maths.Name.",
  "list.empty": "No maths channel yet.",
  "new": "New channel",
  "viewer": "Engineers may change maths channels.",
  "name": "Name",
  "name.hint": "A letter first, then letters, digits and _",
  "expression": "Expression",
  "expression.hint": "lap_integral(Voltage * Current)",
  "unit": "Unit of the result",
  "unit.hint": "as it comes out",
  "comment": "What it is",
  "save": "Save",
  "saved": "Saved. Charts take it up by themselves.",
  "remove": "Remove",
  "remove.sure": "Remove {name}?",
  "gives": "Gives {unit}, from {inputs}",
  "gives.none": "a number without unit",
  "laps": "needs laps",
  "wrong": "Wrong at character {n}",
  "functions": "Functions",
  "functions.hint": "Units are looked after: km/h and m/s may be mixed, and the result comes in the unit that you name. Numbers may have units: 0.5 [s].",
  "failed": "The maths channels could not be read.",
};

const fr: Record<keyof typeof en, string> = {
  "list": "Voies calculées",
  "list.hint": "Déduites d’autres voies, avec les mêmes valeurs en direct et dans l’historique. Elles se trouvent dans la recherche sous Maths.Nom.",
  "list.empty": "Aucune voie calculée pour l’instant.",
  "new": "Nouvelle voie",
  "viewer": "Les ingénieurs peuvent modifier les voies calculées.",
  "name": "Nom",
  "name.hint": "Une lettre d’abord, puis lettres, chiffres et _",
  "expression": "Expression",
  "expression.hint": "lap_integral(Voltage * Current)",
  "unit": "Unité du résultat",
  "unit.hint": "telle quelle",
  "comment": "Ce que c’est",
  "save": "Enregistrer",
  "saved": "Enregistré. Les graphiques la prennent d’eux-mêmes.",
  "remove": "Supprimer",
  "remove.sure": "Supprimer {name} ?",
  "gives": "Donne {unit}, à partir de {inputs}",
  "gives.none": "un nombre sans unité",
  "laps": "a besoin des tours",
  "wrong": "Erreur au caractère {n}",
  "functions": "Fonctions",
  "functions.hint": "Les unités sont suivies : km/h et m/s peuvent se mélanger, et le résultat vient dans l’unité que vous nommez. Un nombre peut porter une unité : 0.5 [s].",
  "failed": "Les voies calculées n’ont pas pu être lues.",
};

export type Word = keyof typeof en;

/** The text of `key` in the current language. */
export function w(key: Word, values: Readonly<Record<string, string | number>> = {}): string {
  return (i18n.language === "fr" ? fr : en)[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
