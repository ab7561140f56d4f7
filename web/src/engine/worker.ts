/** The engine in a thread of its own: a busy page never delays the connection, and a flood of samples never the page. */
import { Engine } from "./engine";
import type { ToEngine } from "./messages";

const scope = self as unknown as { postMessage(message: unknown, transfer: Transferable[]): void; onmessage: ((event: MessageEvent<ToEngine>) => void) | null };
const engine = new Engine((message, transfer) => scope.postMessage(message, transfer));
scope.onmessage = (event) => engine.receive(event.data);
