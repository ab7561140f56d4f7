/** Last value of each bucket, with its own time; null where it is no number. */
interface Column {
  readonly t_us: readonly number[];
  readonly last: readonly (number | null)[];
}

export interface Position {
  readonly us: number;
  readonly latitude: number;
  readonly longitude: number;
}

/** A longitude further off in time says nothing of the place. */
const NEAR_US = 1e6;

/**
 * Where the vehicle was at each time of a latitude. The longitude may come in another message: it lies on the line
 * between the one before and the one after. 0, 0 is no fix.
 */
export function positionsOf(latitude: Column | undefined, longitude: Column | undefined): Position[] {
  const norths = numbersOf(latitude);
  const easts = numbersOf(longitude);
  const found: Position[] = [];
  let next = 0;
  for (const { us, value } of norths) {
    while (next < easts.length && easts[next]!.us < us) next++;
    const before = easts[next]?.us === us ? easts[next] : easts[next - 1];
    const after = easts[next];
    const near = [before, after].filter((one) => one !== undefined && Math.abs(one.us - us) <= NEAR_US);
    if (near.length === 0 || (value === 0 && near.some((one) => one!.value === 0))) continue;
    const [first, last] = [near[0]!, near.at(-1)!];
    const part = last.us > first.us ? (us - first.us) / (last.us - first.us) : 0;
    found.push({ us, latitude: value, longitude: first.value + part * (last.value - first.value) });
  }
  return found;
}

function numbersOf(column: Column | undefined): { readonly us: number; readonly value: number }[] {
  return (column?.t_us ?? []).flatMap((us, i) => {
    const value = column!.last[i] ?? null;
    return value === null ? [] : [{ us, value }];
  });
}
