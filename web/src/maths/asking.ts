import { RefusedError, SignedOutError, UnreachableError } from "../protocol/rest";

/** What came of a request: its answer, or what is wrong. */
export interface Outcome<T> {
  readonly done: T | null;
  /** Empty when it was done. */
  readonly problem: string;
}

/** Does it; `away` is what is said where the server did not answer. */
export async function outcomeOf<T>(action: () => Promise<T>, away: string): Promise<Outcome<T>> {
  try {
    return { done: await action(), problem: "" };
  } catch (error) {
    if (!(error instanceof UnreachableError || error instanceof SignedOutError || error instanceof RefusedError)) throw error;
    return { done: null, problem: error instanceof RefusedError ? error.message : away };
  }
}

/** Asks when `waitMs` have passed; after the end that it gives back was called nothing is told, also of an answer on its way. */
export function askLater<T>(waitMs: number, ask: () => Promise<Outcome<T>>, tell: (outcome: Outcome<T>) => void): () => void {
  let isOver = false;
  const timer = setTimeout(async () => {
    const outcome = await ask();
    if (!isOver) tell(outcome);
  }, waitMs);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
