/** Traps, stacks, segments and descriptors of the virtual CPU. */
import { FIRST_RESERVED_GDT_BYTE, IRET } from "../abi";
import { Rejection } from "../errors";
import { TYPE_SEGMENTS } from "../pageInfo";
import type { TrapHandler } from "../vcpu";
import { counted, done, type Handler, type HypercallContext, hex } from "./hypercall";

const VECTORS = 256;
const MASKS_EVENTS = 4;
const DESCRIPTORS_PER_PAGE = 512;
const CALLBACK_NAMES: Readonly<Record<number, string>> = {
  0: "event",
  1: "failsafe",
  2: "syscall",
  4: "nmi",
  5: "sysenter",
  7: "syscall32",
};

export const setTrapTable: Handler = ({ memory, vcpu, abi }, [table]) => {
  if (table === 0n) {
    vcpu.traps.clear();
    return done("none");
  }
  const { size, address } = abi.trapInfo;
  const handlers = new Map<number, TrapHandler>();
  for (let index = 0n; ; index++) {
    if (index > VECTORS) throw new Rejection("EINVAL", "the trap table does not end");
    const view = memory.read(table + index * BigInt(size), size);
    const target = abi.word === 8 ? view.getBigUint64(address, true) : BigInt(view.getUint32(address, true));
    if (target === 0n) break;
    const flags = view.getUint8(1);
    handlers.set(view.getUint8(0), {
      cs: view.getUint16(2, true),
      address: target,
      masksEvents: (flags & MASKS_EVENTS) !== 0,
      dpl: flags & 3,
    });
  }
  for (const [vector, handler] of handlers) vcpu.traps.set(vector, handler);
  return done(counted(handlers.size, "handler"));
};

export const stackSwitch: Handler = ({ vcpu }, [ss, sp]) => {
  vcpu.kernelSs = Number(ss & 0xffffn);
  vcpu.kernelSp = sp;
  return done(`${hex(ss)}:${hex(sp)}`);
};

export const setCallbacks: Handler = ({ vcpu, abi }, args) => {
  if (abi.bits === 64) {
    args.slice(0, 3).forEach((address, type) => {
      vcpu.callbacks.set(type, { cs: abi.kernelCs, address });
    });
  } else {
    vcpu.callbacks.set(0, { cs: Number(args[0] & 0xffffn), address: args[1] });
    vcpu.callbacks.set(1, { cs: Number(args[2] & 0xffffn), address: args[3] });
  }
  return done("");
};

/** callback_op: 0 register {type u16, flags u16, address}, 1 unregister. */
export const callbackOp: Handler = ({ vcpu, memory, abi }, [command, argument]) => {
  const type = memory.read(argument, 2).getUint16(0, true);
  const name = CALLBACK_NAMES[type];
  if (name === undefined) throw new Rejection("ENOSYS", `there is no callback of type ${type}`);
  if (command === 0n) {
    const cs = abi.bits === 64 ? abi.kernelCs : memory.read(argument + 8n, 4).getUint32(0, true) & 0xffff;
    const address = memory.readWord(argument + (abi.bits === 64 ? 8n : 4n));
    vcpu.callbacks.set(type, { cs, address });
  } else if (command === 1n) vcpu.callbacks.delete(type);
  else throw new Rejection("ENOSYS", `there is no callback operation ${command}`);
  return done(`${command === 0n ? "register" : "unregister"} ${name}`);
};

export const setSegmentBase: Handler = ({ machine }, [which, base]) => {
  const segment = (["fs", "kernel-gs", "gs"] as const)[Number(which)];
  if (segment === undefined) throw new Rejection("EINVAL", `there is no segment base ${which}`);
  machine.setSegmentBase(segment, base);
  return done(`${segment} ${hex(base)}`);
};

/** The frames become descriptor pages: nothing may map them writable. */
export const setGdt: Handler = (xen, [list, entries]) => {
  const count = Number(entries);
  if (count > FIRST_RESERVED_GDT_BYTE / 8) {
    throw new Rejection("EINVAL", `a descriptor table of ${count} entries reaches into the hypervisor's own`);
  }
  const { abi, memory, pages, machine } = xen;
  const frames: number[] = [];
  try {
    for (let i = 0; i < Math.ceil(count / DESCRIPTORS_PER_PAGE); i++) {
      const mfn = Number(memory.readWord(list + BigInt(i * abi.word)));
      pages.get(mfn, TYPE_SEGMENTS);
      frames.push(mfn);
      checkDescriptors(xen, mfn);
    }
  } catch (thrown) {
    for (const mfn of frames) pages.put(mfn);
    throw thrown;
  }
  machine.setGdt(frames);
  return done(counted(count, "entry").replace("entrys", "entries"));
};

const SEGMENT = 1 << 12;
const PRESENT = 1 << 15;
const ACCESSED = 1 << 8;

/**
 * A guest's descriptors may give it no more privilege than it has. They are marked as accessed, so that the CPU never
 * has to write to them.
 */
function checkDescriptors({ abi, machine, pages }: HypercallContext, mfn: number): void {
  for (let index = 0; index < DESCRIPTORS_PER_PAGE; index++) {
    const at = mfn * 4096 + 8 * index + 4;
    const high = machine.read32(at);
    if ((high & PRESENT) === 0) continue;
    if ((high & SEGMENT) === 0) {
      throw new Rejection("EINVAL", `descriptor ${index} of ${pages.frameText(mfn)} is a system descriptor`);
    }
    // What is less privileged than allowed is raised, as Xen does, so that kernels need no descriptors of their own.
    const dpl = Math.max((high >>> 13) & 3, abi.ring);
    machine.write32(at, (high & ~(3 << 13)) | (dpl << 13) | ACCESSED);
  }
}

export const updateDescriptor: Handler = (xen, args) => {
  const [at] = args;
  const value = xen.abi.word === 8 ? args[1] : (args[1] & 0xffffffffn) | (args[2] << 32n);
  const mfn = Math.floor(Number(at) / 4096);
  xen.pages.get(mfn, TYPE_SEGMENTS);
  xen.machine.write64(Number(at), value);
  checkDescriptors(xen, mfn);
  xen.pages.put(mfn);
  return done(`${hex(at)} := ${hex(value)}`);
};

export const iret: Handler = ({ machine }) => {
  machine.iret();
  return done("", BigInt(IRET));
};
