/** Room of a lamp in px: what reads well, and what is still a name and a state. */
const WIDE_PX = 152;
const LEAST_PX = 108;
const ROW_PX = 33;

/** In how many columns lamps stand so that all of them are seen: as few as find room, and never so many that they say nothing. */
export function columnsOf(lamps: number, width: number, height: number): number {
  const fitting = (px: number): number => Math.max(1, Math.floor(width / px));
  const rows = Math.max(1, Math.floor(height / ROW_PX));
  const needed = Math.ceil(lamps / rows);
  const columns = Math.max(Math.min(needed, fitting(LEAST_PX)), Math.min(fitting(WIDE_PX), lamps));
  return Math.max(1, columns);
}
