/** What a person has chosen to see of laps. */
export interface LapView {
  /** null: the newest. */
  readonly session: string | null;
  /** Laps that are laid over each other, by number; empty: the best and the last. */
  readonly picked: readonly number[];
  /** The lap that the others are compared with, by number; null: the best. */
  readonly reference: number | null;
  /** The part of the lap in view of all overlays, from 0 to 1; null: all of it. */
  readonly part: { readonly from: number; readonly to: number } | null;
}

export const NOTHING_CHOSEN: LapView = { session: null, picked: [], reference: null, part: null };

/** Of the page's address; what makes no sense is left out. */
export function readLapView(query: URLSearchParams): LapView {
  const isLap = (lap: number): boolean => Number.isSafeInteger(lap) && lap > 0;
  const [, from, to] = (/^([\d.]+)-([\d.]+)$/.exec(query.get("part") ?? "") ?? []).map(Number);
  const reference = Number(query.get("reference"));
  return {
    session: query.get("session"),
    picked: [...new Set((query.get("laps") ?? "").split(",").map(Number).filter(isLap))],
    reference: isLap(reference) ? reference : null,
    part: from !== undefined && to !== undefined && from < to && to <= 1 ? { from, to } : null,
  };
}

export function writeLapView(query: URLSearchParams, view: LapView): void {
  if (view.session !== null) query.set("session", view.session);
  if (view.picked.length > 0) query.set("laps", view.picked.join(","));
  if (view.reference !== null) query.set("reference", String(view.reference));
  if (view.part !== null) query.set("part", [view.part.from, view.part.to].map((one) => String(Number(one.toFixed(4)))).join("-"));
}
