/** What a domain is built of, and what it is once it is built. */
import type { PhysicalMemory, PhysicalRange } from "../machine/memory";
import type { StartState } from "../machine/startState";
import type { GuestAbi } from "./abi";
import type { InitialMapping } from "./initialMapping";
import type { FrameOrder, FrameRange, MachineFrames } from "./machineFrames";
import type { PvNotes, RawNote } from "./notes";
import type { P2mMapping } from "./p2mMapping";

/** A segment of the image, by the physical address in the file. */
export interface PvSegment {
  readonly physical: bigint;
  readonly bytes: Uint8Array;
  readonly memorySize: number;
}

export interface PvImage {
  readonly bits: 32 | 64;
  readonly segments: readonly PvSegment[];
  readonly notes: readonly RawNote[];
}

export interface DomainOptions {
  /** Guest frames, from 0. */
  readonly nrPages: number;
  /** Those that have memory; all unless given. What the builder needs must have it. */
  readonly populated?: readonly FrameRange[];
  /** Ends in a zero byte; at most 1024 bytes, which start_info has room for. */
  readonly cmdline: Uint8Array;
  readonly ramdisk?: Uint8Array;
  readonly order: FrameOrder;
  /** Whether the P->M list goes where INIT_P2M says, where there is such a note. */
  readonly p2mOutside: boolean;
  /** Whether the CPU has pages of 1 GiB. */
  readonly pages1G: boolean;
  /** Whether it has XD. */
  readonly nx: boolean;
  readonly maxPhysicalBits: number;
}

/** Something of a domain that lies in guest frames. */
export interface DomainPart {
  readonly name: string;
  readonly pfn: number;
  readonly pages: number;
}

/** A domain that is ready to be put into a machine. */
export interface Domain {
  readonly abi: GuestAbi;
  readonly notes: PvNotes;
  readonly frames: MachineFrames;
  readonly mapping: InitialMapping;
  /** Where the P->M list is; its frames and those of its tables where it lies outside of the initial mapping. */
  readonly p2m: { readonly address: bigint; readonly outside: P2mMapping | undefined };
  /** Machine frame of the root. */
  readonly root: number;
  readonly hypervisorFrames: HypervisorFrames;
  /** What the machine's memory has to be. */
  readonly ram: readonly PhysicalRange[];
  readonly parts: readonly DomainPart[];
  readonly start: StartState;
  apply(memory: PhysicalMemory): void;
}

/** Machine frames of the hypervisor's own. */
export interface HypervisorFrames {
  readonly sharedInfo: number;
  /** Pages of the descriptor table that hold its own descriptors. */
  readonly gdt: number;
  /** From here on there is room for its tables. */
  readonly heap: number;
  /** The machine-to-physical table, and its length in frames. */
  readonly m2p: number;
  readonly m2pFrames: number;
}

/** What the builder has decided before it writes anything. */
export interface DomainPlan {
  readonly image: PvImage;
  readonly options: DomainOptions;
  readonly abi: GuestAbi;
  readonly notes: PvNotes;
  readonly mapping: InitialMapping;
  readonly frames: MachineFrames;
  /** Where the list lies outside of the initial mapping. */
  readonly p2m: P2mMapping | undefined;
  readonly ramdisk: Uint8Array;
}

/** The guest frame of an address of the initial mapping. */
export function pfnAt({ mapping }: DomainPlan, address: bigint): number {
  return Number((address - mapping.start) >> 12n);
}
