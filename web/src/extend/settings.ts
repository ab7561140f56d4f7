/** Reading settings that anybody may have written into a workbook. */

export const MAX_NAME = 512;

/** Distinct channel names. */
export function readNames(value: unknown, most: number): string[] {
  if (!Array.isArray(value)) return [];
  return [...new Set(value.filter((name): name is string => typeof name === "string" && name !== "" && name.length <= MAX_NAME))].slice(0, most);
}

export const readName = (value: unknown): string => (typeof value === "string" && value.length <= MAX_NAME ? value : "");

export const readNumber = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

export const readOneOf = <T extends string>(value: unknown, options: readonly T[]): T => (options.includes(value as T) ? (value as T) : options[0]!);

/** The channels with one more, null when there is no room. */
export function withName(names: readonly string[], name: string, most: number): string[] | null {
  if (names.includes(name)) return [...names];
  return names.length < most ? [...names, name] : null;
}
