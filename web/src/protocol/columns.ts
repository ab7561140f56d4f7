/**
 * Binary live messages (docs/spec/live.md): one message carries the columns of several channels.
 *
 * Decoding copies nothing: the arrays are views into the message. Times are whole
 * microseconds of UTC in a double, exact until the year 2255.
 */

export const VERSION = 1;
export const KIND_HISTORY = 1;
export const KIND_INCREMENT = 2;
export const FLAG_LAST = 1;

const HEADER_BYTES = 32;
const COLUMN_HEADER_BYTES = 8;
const DTYPE_F32 = 1;
const DTYPE_F64 = 2;
const COLUMN_HAS_EXTREMES = 1;

export type Values = Float32Array | Float64Array;

export interface Column {
  /** The channel's number in the "watching" message. */
  readonly index: number;
  /** Ticks since the message's base, never decreasing. */
  readonly dt: Uint32Array;
  /** Value of each entry's last sample; NaN is a gap. */
  readonly last: Values;
  /** null: equal to `last`. */
  readonly minimum: Values | null;
  readonly maximum: Values | null;
}

export interface ColumnsMessage {
  readonly kind: typeof KIND_HISTORY | typeof KIND_INCREMENT;
  readonly subscription: number;
  /** The last message of a history. */
  readonly isLast: boolean;
  readonly baseUs: number;
  readonly tickUs: number;
  readonly sequence: number;
  readonly columns: readonly Column[];
}

export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Decodes one binary message; throws ProtocolError when it is not exactly well formed. */
export function decodeColumns(data: ArrayBuffer): ColumnsMessage {
  const view = new DataView(data);
  if (data.byteLength < HEADER_BYTES) throw new ProtocolError(`message of ${data.byteLength} bytes is too short`);
  const version = view.getUint8(0);
  if (version !== VERSION) throw new ProtocolError(`version ${version} is not known`);
  const kind = view.getUint8(1);
  if (kind !== KIND_HISTORY && kind !== KIND_INCREMENT) throw new ProtocolError(`kind ${kind} is not known`);
  const tickUs = view.getUint32(16, true);
  if (tickUs === 0) throw new ProtocolError("tick is 0");
  const reader = new ColumnReader(data, view);
  const count = view.getUint16(4, true);
  const columns: Column[] = [];
  for (let i = 0; i < count; i++) columns.push(reader.column());
  if (reader.offset < data.byteLength) throw new ProtocolError(`${data.byteLength - reader.offset} bytes are left over`);
  return {
    kind,
    subscription: view.getUint16(2, true),
    isLast: (view.getUint16(6, true) & FLAG_LAST) !== 0,
    baseUs: Number(view.getBigInt64(8, true)),
    tickUs,
    sequence: Number(view.getBigUint64(24, true)),
    columns,
  };
}

class ColumnReader {
  offset = HEADER_BYTES;

  constructor(
    private readonly data: ArrayBuffer,
    private readonly view: DataView,
  ) {}

  column(): Column {
    const at = this.take(COLUMN_HEADER_BYTES, 1);
    const dtype = this.view.getUint8(at + 2);
    if (dtype !== DTYPE_F32 && dtype !== DTYPE_F64) throw new ProtocolError(`dtype ${dtype} is not known`);
    const hasExtremes = (this.view.getUint8(at + 3) & COLUMN_HAS_EXTREMES) !== 0;
    const n = this.view.getUint32(at + 4, true);
    const dt = new Uint32Array(this.data, this.take(n, 4), n);
    for (let i = 1; i < n; i++) if (dt[i]! < dt[i - 1]!) throw new ProtocolError("times decrease");
    const last = this.values(dtype, n);
    const minimum = hasExtremes ? this.values(dtype, n) : null;
    const maximum = hasExtremes ? this.values(dtype, n) : null;
    return { index: this.view.getUint16(at, true), dt, last, minimum, maximum };
  }

  private values(dtype: number, n: number): Values {
    if (dtype === DTYPE_F32) return new Float32Array(this.data, this.take(n, 4), n);
    return new Float64Array(this.data, this.take(n, 8), n);
  }

  /** Offset of `n` items of `size` bytes, padded to a multiple of 8. */
  private take(n: number, size: number): number {
    const at = this.offset;
    const end = at + Math.ceil((n * size) / 8) * 8;
    if (end > this.data.byteLength) throw new ProtocolError("message ends inside a column");
    this.offset = end;
    return at;
  }
}
