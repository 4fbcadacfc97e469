/** The state of the virtual CPU that the hypervisor keeps. */
import type { Snapshotable } from "../machine/snapshot";

/** A guest's handler of a vector (trap_info). */
export interface TrapHandler {
  readonly cs: number;
  readonly address: bigint;
  /** Whether events are masked when it is entered. */
  readonly masksEvents: boolean;
  /** The least privileged ring that may raise it by INT; a guest's kernel counts as ring 1. */
  readonly dpl: number;
}

export interface VcpuState {
  readonly traps: readonly (readonly [number, TrapHandler])[];
  readonly kernelSs: number;
  readonly kernelSp: bigint;
  readonly callbacks: readonly (readonly [number, { readonly cs: number; readonly address: bigint }])[];
  readonly inKernel: boolean;
  readonly kernelRoot: number;
  readonly userRoot: number;
  readonly cr2: bigint;
  readonly taskSwitched: boolean;
  readonly info: number;
}

export class Vcpu implements Snapshotable<VcpuState> {
  readonly traps = new Map<number, TrapHandler>();
  /** Where the kernel's stack is for entries from user mode. */
  kernelSs = 0;
  kernelSp = 0n;
  /** Entries by callback type: event, failsafe, syscall. */
  readonly callbacks = new Map<number, { readonly cs: number; readonly address: bigint }>();
  /** 64-bit guests: whether the guest is in its kernel. */
  inKernel = true;
  /** Machine frames of the roots; -1 where there is none. */
  kernelRoot: number;
  userRoot = -1;
  cr2 = 0n;
  /** CR0.TS as the guest has it. */
  taskSwitched = false;
  /** Machine address of the vcpu_info. */
  info: number;

  constructor(root: number, info: number) {
    this.kernelRoot = root;
    this.info = info;
  }

  save(): VcpuState {
    const { kernelSs, kernelSp, inKernel, kernelRoot, userRoot, cr2, taskSwitched, info } = this;
    const fields = { kernelSs, kernelSp, inKernel, kernelRoot, userRoot, cr2, taskSwitched, info };
    return { ...fields, traps: [...this.traps], callbacks: [...this.callbacks] };
  }

  restore({ traps, callbacks, ...fields }: VcpuState): void {
    Object.assign(this, fields);
    refill(this.traps, traps);
    refill(this.callbacks, callbacks);
  }
}

function refill<T>(map: Map<number, T>, entries: readonly (readonly [number, T])[]): void {
  map.clear();
  for (const [key, value] of entries) map.set(key, value);
}
