/** What a hypercall is given and answers. */
import type { GuestAbi } from "../abi";
import type { Domain } from "../domain";
import type { GuestMemory } from "../guestMemory";
import type { PageTypes } from "../pageTypes";
import type { Vcpu } from "../vcpu";

/** What the handlers of hypercalls work on. */
export interface HypercallContext {
  readonly abi: GuestAbi;
  readonly domain: Domain;
  readonly memory: GuestMemory;
  readonly pages: PageTypes;
  readonly vcpu: Vcpu;
  readonly machine: MachineAccess;
  /** Carries out another hypercall, as multicall asks. */
  call(number: number, args: readonly bigint[]): bigint;
  /** Tells of a refusal of a part of a request, which the request survives or not. */
  refused(name: string, rejection: { readonly errno: string; readonly reason: string }): void;
}

/** What hypercalls do to the machine. */
export interface MachineAccess {
  read32(address: number): number;
  read64(address: number): bigint;
  write32(address: number, value: number): void;
  write64(address: number, value: bigint): void;
  copyFrame(to: number, from: number): void;
  clearFrame(frame: number): void;
  flushTlb(): void;
  flushAddress(address: bigint): void;
  /** Loads a root (a machine frame) into CR3. */
  loadRoot(frame: number): void;
  setSegmentBase(segment: "fs" | "gs" | "kernel-gs", base: bigint): void;
  /** Has the descriptor table begin with these frames. */
  setGdt(frames: readonly number[]): void;
  setLdt(base: bigint, entries: number): void;
  console(text: string): void;
  /** Ends the machine: the guest has shut down. */
  shutDown(reason: number): void;
  pinned(table: number, level: number, pinned: boolean): void;
  baseLoaded(from: number, to: number, user: boolean): void;
  /** Carries out the return from an exception handler. */
  iret(): void;
}

/** What it answers, and what was asked in words. */
export interface Answer {
  readonly result: bigint;
  readonly what: string;
}

/** @throws Rejection, which becomes the answer */
export type Handler = (xen: HypercallContext, args: readonly bigint[]) => Answer;

/** Success. */
export function done(what: string, result = 0n): Answer {
  return { result, what };
}

export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** "3 updates", "1 update". */
export function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}
