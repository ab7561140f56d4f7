import { PixelColumns, type PackedColumns } from "../plot/columnise";
import type { Buffers, ColumnsAnswer, ColumnsQuery, Frame } from "./query";

/** Memory of columns that were drawn, used again: a curve per frame would otherwise be a megabyte per frame. */
export class ColumnPool {
  private readonly free: ArrayBuffer[] = [];
  private taken = 0;

  /** A frame begins: takes back what is spent, and keeps no more than the frame before took. */
  begin(spent: readonly ArrayBuffer[]): void {
    for (const bytes of spent) if (bytes.byteLength > 0) this.free.push(bytes);
    this.free.splice(this.taken);
    this.taken = 0;
  }

  take(): PackedColumns {
    this.taken++;
    return { n: 0, bytes: this.free.pop() ?? new ArrayBuffer(0) };
  }
}

/** The curves of a strip chart, reduced to pixel columns. */
export function findColumns(buffers: Buffers, frame: Frame, query: ColumnsQuery, pool: ColumnPool): ColumnsAnswer {
  return query.channels.map((name) => {
    const buffer = buffers(name);
    if (buffer === undefined || query.width <= 0 || !Number.isFinite(frame.fromUs)) return null;
    const columns = new PixelColumns(pool.take());
    columns.fill(buffer, frame.fromUs, frame.toUs, (frame.toUs - frame.fromUs) / query.width);
    return columns.pack();
  });
}
