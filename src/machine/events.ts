/**
 * The event vocabulary: what a run can stop on, print, or show on a timeline. Declared once; the command line,
 * exception filters and documentation derive from `EVENT_KINDS`.
 */
import type { TableChange } from "./tableChanges";

/** What every event carries. Linear addresses are bigints (64 bit, zero-extended), physical ones numbers. */
export interface EventBase {
  /** Instructions retired before the one this event belongs to (an iteration of REP counts as one). */
  instruction: number;
  /** RIP of the instruction this event belongs to. */
  rip: bigint;
}

/** A page fault is about to be delivered (SDM vol. 3A, 6.15, interrupt 14). */
export interface PageFaultEvent extends EventBase {
  event: "page-fault";
  /** CR2. */
  address: bigint;
  /** The error code as pushed. */
  error: number;
  /** One sentence: the access, and which bit of which entry or which rule made it fault; empty where nobody asked. */
  reason: string;
  /** How often this very fault came just before: its handler returned, and the access faulted again. */
  repeats: number;
}

/**
 * The root of the early tables lost present entries and was loaded into CR3 again; any root where nobody knows which
 * those are.
 */
export interface ResetEvent extends EventBase {
  event: "reset";
  /** Physical address of the root table. */
  root: number;
  /** Entries of the root that were present at its last load and are not now. */
  cleared: number;
}

/**
 * CR3 was given the final root table, the first time while paging was on, in place of one that the guest had loaded
 * itself: leaving the boot loader's tables is only a `cr3-load`. Where nobody knows which root is the final one, the
 * first load of each counts. Physical addresses.
 */
export interface SwitchoverEvent extends EventBase {
  event: "switchover";
  from: number;
  to: number;
}

/** A MOV to CR3 (also one that loads the same root). */
export interface Cr3LoadEvent extends EventBase {
  event: "cr3-load";
  /** The value loaded. */
  value: bigint;
  from: number;
  to: number;
}

/** One of CR0.PG, CR0.WP, CR4.PAE, PSE, PGE, LA57 or EFER.LMA changed. */
export interface PagingModeEvent extends EventBase {
  event: "paging-mode";
  /** E.g. "PG", "WP"; in the order PG WP PAE PSE PGE LA57. */
  set: string[];
  cleared: string[];
  /** The mode now: "off", "32-bit", "PAE", "4-level" or "5-level". */
  mode: string;
}

/** Software changed an entry of a table that the current root reaches. */
export interface TableWriteEvent extends EventBase {
  event: "table-write";
  /** Physical address of the entry. */
  entry: number;
  /** Level of the table: 1 (PT) to 5 (PML5). */
  level: number;
  /** The lowest linear address the entry translates (canonical); the first found where there are aliases. */
  address: bigint;
  old: bigint;
  new: bigint;
}

/** Something flushed the TLB: all of it, a PCID, or one address. */
export interface TlbFlushEvent extends EventBase {
  event: "tlb-flush";
  /** What did it: "mov-cr3", "mov-cr0", "mov-cr4", "invlpg", "invpcid". */
  cause: string;
  /** The address of a single-address flush. */
  address?: bigint;
  /** Whether global entries went too. */
  global: boolean;
}

/** A TLB entry was used that no longer agrees with the tables. */
export interface StaleTlbEvent extends EventBase {
  event: "stale-tlb";
  address: bigint;
  /** Physical page the TLB entry gives. */
  cached: number;
  /** Physical page the tables give now; undefined where they give none. */
  tables?: number;
  /** One sentence: what the tables say, and what the TLB still gives. */
  reason: string;
  /** The change of the tables that made it stale, where the machine records them and it is still known. */
  cause?: TableChange;
}

/** Any other vector is about to be delivered. */
export interface ExceptionEvent extends EventBase {
  event: "exception";
  vector: number;
  /** "#GP", "#UD", "INT 0x80", ... */
  name: string;
  error?: number;
  reason: string;
}

/** Shutdown: a fault while a double fault was delivered. The reasons of the three faults, in order. */
export interface TripleFaultEvent extends EventBase {
  event: "triple-fault";
  reasons: string[];
}

/** An instruction, or a use of one, that this machine does not implement. */
export interface UnimplementedEvent extends EventBase {
  event: "unimplemented";
  /** The instruction's bytes in hexadecimal, separated by spaces. */
  bytes: string;
  /** Its text, Intel syntax. */
  text: string;
  reason: string;
}

/** HLT (or a jump to itself) that nothing can ever end. */
export interface HaltEvent extends EventBase {
  event: "halt";
  reason: string;
}

/** The program has come to a step that it is known for: the first instruction of a function. */
export interface MilestoneEvent extends EventBase {
  event: "milestone";
  /** What begins, in words. */
  text: string;
}

/** The hypervisor has carried out a hypercall of its guest, or refused it. */
export interface HypercallEvent extends EventBase {
  event: "hypercall";
  /** Its number, and Xen's name for it. */
  number: number;
  name: string;
  /** What was asked for, in words. */
  what: string;
  /** What it answered: negative error numbers where it refused. */
  result: number;
}

/** The hypervisor has refused a request. */
export interface HypercallRejectedEvent extends EventBase {
  event: "hypercall-rejected";
  name: string;
  /** "-EINVAL (22)". */
  errno: string;
  /** One sentence: what was asked for, and the rule that forbids it. */
  reason: string;
}

/** A table was pinned as one of a level, or unpinned. */
export interface PinEvent extends EventBase {
  event: "pin";
  pinned: boolean;
  /** Physical address (of the machine) of the table. */
  table: number;
  level: number;
}

/** The guest of a hypervisor has another root: MMUEXT_NEW_BASEPTR or MMUEXT_NEW_USER_BASEPTR. Physical addresses. */
export interface BasePointerEvent extends EventBase {
  event: "base-pointer";
  from: number;
  to: number;
  /** The root of user mode. */
  user: boolean;
}

/** The guest has unmapped the P->M list that the domain builder made. */
export interface P2mFreeEvent extends EventBase {
  event: "p2m-free";
  /** Where the list was. */
  address: bigint;
  /** Frames of the list. */
  frames: number;
}

/** A line written to the serial port, without its line end; an unfinished one when the machine stops. */
export interface SerialEvent extends EventBase {
  event: "serial";
  text: string;
}

/** The guest wrote to the debug-exit port. */
export interface ExitEvent extends EventBase {
  event: "exit";
  /** The value written (0 = pass), 0..255. */
  status: number;
}

export type MachineEvent =
  | PageFaultEvent
  | ResetEvent
  | SwitchoverEvent
  | Cr3LoadEvent
  | PagingModeEvent
  | TableWriteEvent
  | TlbFlushEvent
  | StaleTlbEvent
  | ExceptionEvent
  | TripleFaultEvent
  | UnimplementedEvent
  | HaltEvent
  | MilestoneEvent
  | HypercallEvent
  | HypercallRejectedEvent
  | PinEvent
  | BasePointerEvent
  | P2mFreeEvent
  | SerialEvent
  | ExitEvent;

export type EventKind = MachineEvent["event"];

/** One entry of the vocabulary. */
export interface EventDescription {
  kind: EventKind;
  /** The name as a user reads it. */
  label: string;
  /** Printed by `pagewalk run` unless asked otherwise. */
  byDefault: boolean;
  /** The machine cannot go on after it. */
  final: boolean;
}

/** Every kind of event, in the order in which they are documented. */
export const EVENT_KINDS: readonly EventDescription[] = [
  { kind: "page-fault", label: "Page fault", byDefault: true, final: false },
  { kind: "reset", label: "Early table reset", byDefault: true, final: false },
  { kind: "switchover", label: "Switchover to the final table", byDefault: true, final: false },
  { kind: "cr3-load", label: "CR3 load", byDefault: true, final: false },
  { kind: "paging-mode", label: "Paging mode change", byDefault: true, final: false },
  { kind: "table-write", label: "Page-table write", byDefault: false, final: false },
  { kind: "tlb-flush", label: "TLB flush", byDefault: false, final: false },
  { kind: "stale-tlb", label: "Use of a stale TLB entry", byDefault: true, final: false },
  { kind: "exception", label: "Exception", byDefault: true, final: false },
  { kind: "triple-fault", label: "Triple fault", byDefault: true, final: true },
  { kind: "unimplemented", label: "Unimplemented instruction", byDefault: true, final: true },
  { kind: "halt", label: "Halt for ever", byDefault: true, final: true },
  { kind: "milestone", label: "Step of the boot program", byDefault: false, final: false },
  { kind: "hypercall", label: "Hypercall", byDefault: false, final: false },
  { kind: "hypercall-rejected", label: "Rejected hypercall", byDefault: true, final: false },
  { kind: "pin", label: "Pin or unpin of a table", byDefault: true, final: false },
  { kind: "base-pointer", label: "Base-pointer switch", byDefault: true, final: false },
  { kind: "p2m-free", label: "P->M list unmapped", byDefault: true, final: false },
  { kind: "serial", label: "Serial output", byDefault: false, final: false },
  { kind: "exit", label: "Guest exit", byDefault: true, final: true },
];
