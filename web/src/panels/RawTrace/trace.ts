/** The raw trace as the server tells it (docs/spec/live.md). */

export type TraceRow = readonly [
  bus: number,
  id: number,
  isExtended: boolean,
  frames: number,
  perS: number,
  payload: string,
  changed: string,
  message: string,
];

export interface Trace {
  readonly type: "trace";
  readonly vehicle: string;
  readonly rows: readonly TraceRow[];
  readonly left_out: number;
}

export const keyOf = (row: TraceRow): string => `${row[0]}/${row[2] ? "x" : ""}${row[1]}`;

/** 1F0, or 18FEF100x of 29 bits. */
export const idText = (row: TraceRow): string => row[1].toString(16).toUpperCase().padStart(row[2] ? 8 : 3, "0") + (row[2] ? "x" : "");

/** Bytes as numbers. */
export function bytesOf(hex: string): number[] {
  const bytes: number[] = [];
  for (let at = 0; at + 1 < hex.length; at += 2) bytes.push(parseInt(hex.slice(at, at + 2), 16));
  return bytes;
}

/** Rows whose id, message or bus contains all words. */
export function filterRows(rows: readonly TraceRow[], query: string, unknownOnly: boolean): TraceRow[] {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return rows.filter((row) => {
    if (unknownOnly && row[7] !== "") return false;
    const text = `${idText(row)} ${row[7]}`.toLowerCase();
    return words.every((word) => text.includes(word.replace(/^0x/, "")));
  });
}

/** What the panel shows of what it hears: the newest trace, and under a pause the one that the pause found. */
export interface Shown {
  readonly trace: Trace | null;
  /** Time of the page's edge when it was taken over, UTC in µs. */
  readonly us: number;
  /** The connection is lost: its numbers are old. */
  readonly isLost: boolean;
}

export const NOTHING: Shown = { trace: null, us: -Infinity, isLost: false };

export function shownAfter(shown: Shown, heard: Trace | null, us: number, isPaused: boolean): Shown {
  if (isPaused) return shown;
  return heard === null ? { ...shown, isLost: true } : { trace: heard, us, isLost: false };
}

const RETRY_MS = 2000;

/** Hears the trace of a vehicle until the end that it gives back is called, null while the connection is lost; comes back by itself. */
export function listen(vehicle: string, hear: (trace: Trace | null) => void, open: (url: string) => WebSocket = (url) => new WebSocket(url)): () => void {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const url = `${scheme}://${location.host}/api/vehicles/${encodeURIComponent(vehicle)}/trace`;
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isEnded = false;

  const connect = (): void => {
    const own = open(url);
    socket = own;
    own.onmessage = (event: MessageEvent<string>) => hear(JSON.parse(event.data) as Trace);
    own.onclose = () => {
      if (isEnded || socket !== own) return;
      hear(null);
      timer = setTimeout(connect, RETRY_MS);
    };
  };
  connect();
  return () => {
    isEnded = true;
    clearTimeout(timer);
    socket?.close();
  };
}
