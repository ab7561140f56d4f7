/** Display units: what a person reads in place of the DBC's unit. All conversions are value · factor + offset. */

export interface Conversion {
  readonly unit: string;
  readonly factor: number;
  readonly offset: number;
}

export type QuantityId = "speed" | "temperature" | "pressure" | "acceleration" | "rotation" | "angle" | "distance" | "energy";

interface Quantity {
  readonly id: QuantityId;
  /** Unit, other spellings of it, and its size in the base unit (factor, offset). */
  readonly units: readonly { readonly unit: string; readonly also: readonly string[]; readonly factor: number; readonly offset: number }[];
}

const unit = (name: string, factor: number, also: readonly string[] = [], offset = 0) => ({ unit: name, also, factor, offset });

export const QUANTITIES: readonly Quantity[] = [
  { id: "speed", units: [unit("km/h", 1 / 3.6, ["kph", "kmh", "km/hr"]), unit("m/s", 1, ["mps"]), unit("mph", 0.44704, ["mi/h"])] },
  { id: "temperature", units: [unit("°C", 1, ["degC", "deg C", "celsius"]), unit("°F", 5 / 9, ["degF"], -160 / 9), unit("K", 1, ["kelvin"], -273.15)] },
  { id: "pressure", units: [unit("bar", 1e5), unit("kPa", 1e3), unit("psi", 6894.757), unit("hPa", 100, ["mbar"])] },
  { id: "acceleration", units: [unit("m/s²", 1, ["m/s^2", "m/s2"]), unit("g", 9.80665)] },
  { id: "rotation", units: [unit("rpm", 1 / 60, ["1/min", "tr/min", "RPM"]), unit("rad/s", 1 / (2 * Math.PI))] },
  { id: "angle", units: [unit("°", 1, ["deg", "degree"]), unit("rad", 180 / Math.PI)] },
  { id: "distance", units: [unit("m", 1), unit("km", 1000), unit("mi", 1609.344)] },
  { id: "energy", units: [unit("Wh", 3600), unit("kWh", 3.6e6), unit("J", 1), unit("kJ", 1000)] },
];

const BY_NAME = new Map(QUANTITIES.flatMap((quantity) => quantity.units.flatMap((one) => [one.unit, ...one.also].map((name) => [name, { quantity, one }] as const))));

/** How values of a DBC unit are shown, given the person's choice of units by quantity. */
export function conversionOf(dbcUnit: string, choice: Readonly<Record<string, string>>): Conversion {
  const found = BY_NAME.get(dbcUnit);
  const wanted = found?.quantity.units.find((one) => one.unit === choice[found.quantity.id]);
  if (found === undefined || wanted === undefined || wanted === found.one) return { unit: dbcUnit, factor: 1, offset: 0 };
  // base = value · factor + offset, so wanted = (value · factor + offset − wanted.offset) / wanted.factor
  return { unit: wanted.unit, factor: found.one.factor / wanted.factor, offset: (found.one.offset - wanted.offset) / wanted.factor };
}

export const convert = (value: number, by: Conversion): number => value * by.factor + by.offset;
