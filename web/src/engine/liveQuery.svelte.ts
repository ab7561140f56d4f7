import type { Telemetry } from "../app/telemetry.svelte";
import type { AnswerOf, Frame, Query, ValuesAnswer } from "../query/query";

/**
 * Asks a question while the component lives; asked anew when what `query` reads changes (null: nothing to ask).
 *
 * For a component's script. `isSlow` is for numbers: ten times per second are enough to read them.
 */
export function liveQuery<Q extends Query>(
  telemetry: Telemetry,
  query: () => Q | null,
  hear: (answer: AnswerOf<Q>, frame: Frame) => void,
  isSlow = false,
): void {
  $effect(() => {
    const asked = query();
    if (asked === null) return;
    const end = telemetry.questions.add(asked, hear, isSlow);
    telemetry.loop.dirty();
    return end;
  });
}

/** The readings of channels, ten times per second, as a state that Svelte follows. */
export function liveValues(telemetry: Telemetry, channels: () => readonly string[], hasStatistics: () => boolean = () => false): { readonly readings: ValuesAnswer } {
  let readings = $state.raw<ValuesAnswer>([]);
  liveQuery(
    telemetry,
    () => ({ kind: "values", channels: [...channels()], hasStatistics: hasStatistics() }) as const,
    (answer) => (readings = answer ?? []),
    true,
  );
  return {
    get readings() {
      return readings;
    },
  };
}
