/** The mark that a press at `us` means: the nearest within reach. A finger is wider than most marks, and two may stand side by side. */
export function nearestMark<M extends { readonly fromUs: number }>(marks: readonly M[], us: number, reachUs: number): M | null {
  let best: M | null = null;
  for (const mark of marks) {
    const far = Math.abs(mark.fromUs - us);
    if (far <= reachUs && (best === null || far < Math.abs(best.fromUs - us))) best = mark;
  }
  return best;
}
