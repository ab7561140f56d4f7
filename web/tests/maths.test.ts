import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { askLater, outcomeOf, type Outcome } from "../src/maths/asking";
import { RefusedError, UnreachableError } from "../src/protocol/rest";

describe("checks of an expression while a person writes", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("a refusal that comes late is not said of the expression that was written since", async () => {
    const told: Outcome<string>[] = [];
    let refuse!: (outcome: Outcome<string>) => void;
    const endFirst = askLater(300, () => new Promise<Outcome<string>>((resolve) => (refuse = resolve)), (one) => told.push(one));
    await vi.advanceTimersByTimeAsync(300);
    endFirst();
    askLater(300, () => Promise.resolve({ done: "right", problem: "" }), (one) => told.push(one));
    await vi.advanceTimersByTimeAsync(300);
    refuse({ done: null, problem: "position 1: wrong" });
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual([{ done: "right", problem: "" }]);
  });

  it("asks when typing rests", async () => {
    const ask = vi.fn(() => Promise.resolve({ done: 1, problem: "" }));
    askLater(300, ask, () => undefined)();
    await vi.advanceTimersByTimeAsync(1000);
    expect(ask).not.toHaveBeenCalled();
  });

  it("says what the server says, or that it is away; other errors are faults of the page", async () => {
    expect(await outcomeOf(() => Promise.reject(new RefusedError(400, "bad_expression", "position 3: no")), "away")).toEqual({ done: null, problem: "position 3: no" });
    expect(await outcomeOf(() => Promise.reject(new UnreachableError("")), "away")).toEqual({ done: null, problem: "away" });
    await expect(outcomeOf(() => Promise.reject(new TypeError("fault")), "away")).rejects.toThrow("fault");
  });
});
