import { MAX_WINDOW_S } from "../settings/view";

/** A view that stands still has this much beyond its window before it is asked for anew. */
const DRIFT = 1.25;
const MOST_AHEAD_S = 300;
/** In longer windows the server's buckets are much wider (docs/spec/live.md). */
const FINE_WINDOW_S = 10_800;

/**
 * How far back the samples reach that were asked for, and those that are there.
 *
 * Live, the window is the one that the person chose. A view that stands still needs all from the earliest time that it
 * showed until the edge: what lies in between may still come late.
 */
export class Fetched {
  askedS = 0;
  /** The samples that are there begin here, Infinity where they are not complete. */
  heldFromUs = $state(Infinity);
  private askedFromUs = Infinity;
  private isPaused = false;

  /**
   * Seconds of window to ask for now. `neededFromUs` is the earliest time that a paused view needs, null while live;
   * `isAnew`: something is asked for anyway, so it may as well be exact.
   */
  windowS(chosenS: number, neededFromUs: number | null, edgeUs: number, isAnew: boolean): number {
    if (neededFromUs === null) return chosenS;
    const neededS = Math.ceil((edgeUs - neededFromUs) / 1e6);
    const haveS = Math.max(this.askedS, chosenS);
    if (isAnew ? neededS <= haveS : neededFromUs >= this.askedFromUs && neededS <= DRIFT * haveS) return haveS;
    const aheadS = Math.ceil(neededS + Math.min(neededS / 2, MOST_AHEAD_S));
    return Math.min(MAX_WINDOW_S, neededS <= FINE_WINDOW_S ? Math.min(aheadS, FINE_WINDOW_S) : aheadS);
  }

  /** It is asked for. `isOther`: not only further back, but for other channels or at another rate. */
  ask(windowS: number, edgeUs: number, isOther: boolean): void {
    this.begin(windowS, edgeUs);
    if (isOther) this.heldFromUs = Infinity;
  }

  /** The answer begins: the window ends at this edge. */
  begin(windowS: number, edgeUs: number): void {
    this.askedS = windowS;
    this.askedFromUs = Number.isFinite(edgeUs) ? edgeUs - windowS * 1e6 : Infinity;
  }

  /** All that was asked for is there. */
  complete(): void {
    this.heldFromUs = Math.min(this.heldFromUs, this.askedFromUs);
  }

  /** The view stands still from now on (`edgeUs`: what is before the window is gone), or follows the edge. */
  pause(isPaused: boolean, edgeUs: number): void {
    if (isPaused === this.isPaused) return;
    this.isPaused = isPaused;
    if (!isPaused) return;
    const keptFromUs = edgeUs - this.askedS * 1e6;
    this.askedFromUs = Math.max(this.askedFromUs, keptFromUs);
    this.heldFromUs = Math.max(this.heldFromUs, keptFromUs);
  }

  reset(): void {
    this.askedS = 0;
    this.askedFromUs = this.heldFromUs = Infinity;
    this.isPaused = false;
  }
}
