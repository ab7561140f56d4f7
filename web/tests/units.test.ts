import { describe, expect, it } from "vitest";
import { conversionOf, convert } from "../src/units/units";

const shown = (value: number, unit: string, choice: Record<string, string>): [number, string] => {
  const by = conversionOf(unit, choice);
  return [Math.round(convert(value, by) * 1e4) / 1e4, by.unit];
};

describe("display units", () => {
  it.each([
    [36, "km/h", { speed: "m/s" }, [10, "m/s"]],
    [10, "m/s", { speed: "km/h" }, [36, "km/h"]],
    [100, "kph", { speed: "mph" }, [62.1371, "mph"]],
    [100, "°C", { temperature: "°F" }, [212, "°F"]],
    [32, "degF", { temperature: "°C" }, [0, "°C"]],
    [0, "°C", { temperature: "K" }, [273.15, "K"]],
    [1, "bar", { pressure: "psi" }, [14.5038, "psi"]],
    [9.80665, "m/s²", { acceleration: "g" }, [1, "g"]],
    [60, "rpm", { rotation: "rad/s" }, [6.2832, "rad/s"]],
  ] as const)("%d %s with %o", (value, unit, choice, expected) => expect(shown(value, unit, choice)).toEqual(expected));

  it("leaves what it does not know, and what nobody chose, as the DBC has it", () => {
    expect(shown(5, "V", { speed: "mph" })).toEqual([5, "V"]);
    expect(shown(5, "km/h", {})).toEqual([5, "km/h"]);
    expect(shown(5, "km/h", { speed: "furlong" })).toEqual([5, "km/h"]);
  });
});
