import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { decodeColumns, KIND_HISTORY, ProtocolError, type Values } from "../src/protocol/columns";

interface VectorColumn {
  readonly channel: number;
  readonly dtype: "f32" | "f64";
  readonly t_utc_us: readonly number[];
  readonly last: readonly (number | string | null)[];
  readonly minimum: readonly (number | string | null)[] | null;
  readonly maximum: readonly (number | string | null)[] | null;
}

interface Vector {
  readonly error?: string;
  readonly kind: "history" | "increment";
  readonly subscription: number;
  readonly is_last_history: boolean;
  readonly base_utc_us: number;
  readonly tick_us: number;
  readonly sequence: number;
  readonly columns: readonly VectorColumn[];
}

const folder = fileURLToPath(new URL("../../tests/conformance/live/", import.meta.url));
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".bin"))
  .map((name) => name.slice(0, -4));

function bytesOf(name: string): ArrayBuffer {
  const file = readFileSync(`${folder}${name}.bin`);
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
}

const vectorOf = (name: string): Vector => JSON.parse(readFileSync(`${folder}${name}.json`, "utf8")) as Vector;

function written(values: Values | null): (number | string | null)[] | null {
  if (values === null) return null;
  return [...values].map((value) => (Number.isNaN(value) ? null : Number.isFinite(value) ? value : value > 0 ? "inf" : "-inf"));
}

describe("golden vectors", () => {
  it("are there", () => expect(names.length).toBeGreaterThanOrEqual(10));

  it.each(names)("%s", (name) => {
    const vector = vectorOf(name);
    if (vector.error !== undefined) {
      expect(() => decodeColumns(bytesOf(name))).toThrow(ProtocolError);
      return;
    }
    const message = decodeColumns(bytesOf(name));
    expect(message.kind === KIND_HISTORY ? "history" : "increment").toBe(vector.kind);
    expect(message.subscription).toBe(vector.subscription);
    expect(message.isLast).toBe(vector.is_last_history);
    expect(message.baseUs).toBe(vector.base_utc_us);
    expect(message.tickUs).toBe(vector.tick_us);
    expect(message.sequence).toBe(vector.sequence);
    expect(message.columns.length).toBe(vector.columns.length);
    message.columns.forEach((column, i) => {
      const wanted = vector.columns[i]!;
      const round = (list: readonly (number | string | null)[] | null): (number | string | null)[] | null =>
        list === null ? null : list.map((value) => (typeof value === "number" && wanted.dtype === "f32" ? Math.fround(value) : value));
      expect(column.index).toBe(wanted.channel);
      expect(column.last.BYTES_PER_ELEMENT).toBe(wanted.dtype === "f32" ? 4 : 8);
      expect([...column.dt].map((dt) => message.baseUs + dt * message.tickUs)).toEqual(wanted.t_utc_us);
      expect(written(column.last)).toEqual(round(wanted.last));
      expect(written(column.minimum)).toEqual(round(wanted.minimum));
      expect(written(column.maximum)).toEqual(round(wanted.maximum));
    });
  });

  it("refuses every cut of a good message", () => {
    const good = bytesOf("increment_two_columns");
    for (let length = 0; length < good.byteLength; length++) {
      expect(() => decodeColumns(good.slice(0, length))).toThrow(ProtocolError);
    }
  });
});
