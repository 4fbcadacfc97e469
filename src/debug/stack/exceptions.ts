/**
 * Exceptions that were delivered and may not have returned: what a frame that was entered by one is to say.
 *
 * Invariant: kept by where the interrupted code stood (RIP, RSP), the latest wins; bounded, since nobody tells when a
 * handler never returns.
 */
import type { MachineEvent } from "../../machine/events";
import { toHex } from "../protocol/values";

const MOST = 256;
const ERROR_WRITE = 1 << 1;
const ERROR_FETCH = 1 << 4;

export class ExceptionTrail {
  private readonly byPlace = new Map<string, string>();

  /** Forgets all. */
  clear(): void {
    this.byPlace.clear();
  }

  /** @param stackPointer RSP when the event happened */
  record(event: MachineEvent, stackPointer: bigint): void {
    const text = exceptionText(event);
    if (text === undefined) return;
    const key = keyOf(event.rip, stackPointer);
    this.byPlace.delete(key);
    this.byPlace.set(key, text);
    if (this.byPlace.size <= MOST) return;
    const [oldest] = this.byPlace.keys();
    this.byPlace.delete(oldest);
  }

  /** What interrupted the code that stands at RIP with RSP: "#PF write 0xffff880100000000". */
  at(rip: bigint, stackPointer: bigint): string | undefined {
    return this.byPlace.get(keyOf(rip, stackPointer));
  }
}

/** An exception in a few words; undefined for other events. */
export function exceptionText(event: MachineEvent): string | undefined {
  if (event.event === "page-fault") {
    return `#PF ${accessOf(event.error)} ${toHex(event.address)}`;
  }
  if (event.event !== "exception") return undefined;
  return event.error === undefined ? event.name : `${event.name} (error code ${toHex(event.error)})`;
}

/** "read", "write" or "fetch", by a page fault's error code. */
export function accessOf(error: number): "read" | "write" | "fetch" {
  if ((error & ERROR_FETCH) !== 0) return "fetch";
  return (error & ERROR_WRITE) !== 0 ? "write" : "read";
}

function keyOf(rip: bigint, stackPointer: bigint): string {
  return `${rip}:${stackPointer}`;
}
