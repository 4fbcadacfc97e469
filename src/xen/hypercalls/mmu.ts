/** Page tables: mmu_update, update_va_mapping, mmuext_op. */
import {
  DOMID_SELF,
  ERRNO,
  errnoText,
  MMU_MACHPHYS_UPDATE,
  MMU_PT_UPDATE_PRESERVE_AD,
  MMUEXT,
  MMUEXT_NAMES,
  UVMF_INVLPG,
  UVMF_TLB_FLUSH,
} from "../abi";
import { frameOf, PRESENT } from "../entryRules";
import { Rejection } from "../errors";
import { type FrameType, TYPE_WRITABLE } from "../pageInfo";
import { type Answer, counted, done, type Handler, type HypercallContext, hex } from "./hypercall";

/** Requests in one call at most: more would take too long without an end. */
const MOST_REQUESTS = 1 << 20;
const UPDATE_BYTES = 16;

export const mmuUpdate: Handler = (xen, [requests, count, doneAt, domain]) => {
  requireSelf(domain);
  return forEachRequest(xen, "mmu_update", "update", Number(count & 0xffffffffn), doneAt, (index) => {
    const view = xen.memory.read(requests + BigInt(index * UPDATE_BYTES), UPDATE_BYTES);
    update(xen, view.getBigUint64(0, true), view.getUint32(8, true) | 0, view.getUint32(12, true) | 0);
    return undefined;
  });
};

function update(xen: HypercallContext, pointer: bigint, low: number, high: number): void {
  const address = Number(pointer & ~3n);
  const command = Number(pointer & 3n);
  if (command === MMU_MACHPHYS_UPDATE) {
    setM2p(xen, Math.floor(address / 4096), low, high);
    return;
  }
  if (command > MMU_PT_UPDATE_PRESERVE_AD)
    throw new Rejection("ENOSYS", `there is no update of kind ${command}`);
  if (address % 8 !== 0) throw new Rejection("EINVAL", `the entry at ${hex(address)} is not aligned`);
  xen.pages.update(address, low, high, command === MMU_PT_UPDATE_PRESERVE_AD);
  // The CPU holds the entries of a PAE root since the root was loaded.
  const { kernelRoot } = xen.vcpu;
  if (xen.abi.levels === 3 && Math.floor(address / 4096) === kernelRoot) xen.machine.loadRoot(kernelRoot);
}

function setM2p(
  { domain, machine, abi, pages }: HypercallContext,
  mfn: number,
  low: number,
  high: number,
): void {
  if (domain.frames.pfnOf(mfn) < 0)
    throw new Rejection("EINVAL", `${pages.frameText(mfn)} is not a frame of this domain`);
  const at = domain.hypervisorFrames.m2p * 4096 + mfn * abi.word;
  machine.write32(at, low);
  if (abi.word === 8) machine.write32(at + 4, high);
}

export const updateVaMapping: Handler = (xen, args) => {
  const { abi, pages, machine } = xen;
  const [address] = args;
  const value = abi.word === 8 ? args[1] : (args[1] & 0xffffffffn) | ((args[2] & 0xffffffffn) << 32n);
  const flags = Number((abi.word === 8 ? args[2] : args[3]) & 3n);
  const entry = leafEntryOf(xen, address);
  if (entry === undefined) {
    throw new Rejection("EINVAL", `no L1 table translates ${hex(address)}`);
  }
  const low = Number(BigInt.asIntN(32, value));
  pages.update(entry, low, Number(BigInt.asIntN(32, value >> 32n)), false);
  if (flags === UVMF_TLB_FLUSH) machine.flushTlb();
  if (flags === UVMF_INVLPG) machine.flushAddress(address);
  return done(`${hex(address)} := ${hex(value)}${["", ", flush the TLB", ", flush the page"][flags] ?? ""}`);
};

/** The machine address of the L1 entry that translates an address; undefined where no table does. */
export function leafEntryOf({ abi, machine, vcpu }: HypercallContext, address: bigint): number | undefined {
  let table = vcpu.inKernel || vcpu.userRoot < 0 ? vcpu.kernelRoot : vcpu.userRoot;
  for (let level: number = abi.levels; level > 1; level--) {
    const index = Number((address >> BigInt(12 + 9 * (level - 1))) & 511n);
    const at = table * 4096 + 8 * index;
    const low = machine.read32(at);
    if ((low & PRESENT) === 0 || (level < abi.levels && (low & 0x80) !== 0)) return undefined;
    table = frameOf(low, machine.read32(at + 4));
  }
  return table * 4096 + 8 * Number((address >> 12n) & 511n);
}

export const mmuextOp: Handler = (xen, [operations, count, doneAt, domain]) => {
  requireSelf(domain);
  const { size, arg1, arg2 } = xen.abi.mmuext;
  const word = (view: DataView, at: number) =>
    xen.abi.word === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
  return forEachRequest(xen, "mmuext_op", "operation", Number(count & 0xffffffffn), doneAt, (index) => {
    const view = xen.memory.read(operations + BigInt(index * size), size);
    return extended(xen, view.getUint32(0, true), word(view, arg1), word(view, arg2));
  });
};

function extended(xen: HypercallContext, command: number, arg1: bigint, arg2: bigint): string {
  const { pages, machine, abi } = xen;
  const name = MMUEXT_NAMES[command];
  const mfn = Number(arg1);
  const text = () => pages.frameText(mfn);
  if (command <= MMUEXT.PIN_L4_TABLE) {
    const level = command + 1;
    if (level > abi.levels)
      throw new Rejection("EINVAL", `${name}: the guest's tables have ${abi.levels} levels`);
    pages.pin(mfn, level);
    machine.pinned(mfn * 4096, level, true);
    return `${name} ${text()}`;
  }
  switch (command) {
    case MMUEXT.UNPIN_TABLE:
      machine.pinned(mfn * 4096, pages.unpin(mfn), false);
      return `${name} ${text()}`;
    case MMUEXT.NEW_BASEPTR:
      newBase(xen, mfn);
      return `${name} ${text()}`;
    case MMUEXT.NEW_USER_BASEPTR:
      if (abi.bits === 32) throw new Rejection("ENOSYS", `${name} is for 64-bit guests`);
      newUserBase(xen, mfn);
      return `${name} ${text()}`;
    case MMUEXT.TLB_FLUSH_LOCAL:
    case MMUEXT.TLB_FLUSH_MULTI:
    case MMUEXT.TLB_FLUSH_ALL:
      machine.flushTlb();
      return `${name}`;
    case MMUEXT.INVLPG_LOCAL:
    case MMUEXT.INVLPG_MULTI:
    case MMUEXT.INVLPG_ALL:
      machine.flushAddress(arg1);
      return `${name} ${hex(arg1)}`;
    case MMUEXT.FLUSH_CACHE:
      return `${name}`;
    case MMUEXT.SET_LDT:
      machine.setLdt(arg1, Number(arg2));
      return `${name} ${hex(arg1)}, ${arg2} entries`;
    case MMUEXT.CLEAR_PAGE:
      asWritable(xen, mfn, () => machine.clearFrame(mfn));
      return `${name} ${text()}`;
    case MMUEXT.COPY_PAGE:
      asWritable(xen, mfn, () => machine.copyFrame(mfn, Number(arg2)));
      return `${name} ${text()} from ${pages.frameText(Number(arg2))}`;
    default:
      throw new Rejection("ENOSYS", `there is no mmuext operation ${command}`);
  }
}

function newBase({ pages, vcpu, machine, abi }: HypercallContext, mfn: number): void {
  if (abi.bits === 32 && mfn >= 1 << 20) {
    throw new Rejection("EINVAL", `a PAE root must lie below 4 GiB, and ${pages.frameText(mfn)} does not`);
  }
  const old = vcpu.kernelRoot;
  pages.get(mfn, abi.levels as FrameType);
  vcpu.kernelRoot = mfn;
  machine.loadRoot(mfn);
  machine.baseLoaded(old * 4096, mfn * 4096, false);
  pages.put(old);
}

function newUserBase({ pages, vcpu, machine }: HypercallContext, mfn: number): void {
  const old = vcpu.userRoot;
  if (mfn !== 0) pages.get(mfn, 4);
  vcpu.userRoot = mfn === 0 ? -1 : mfn;
  machine.baseLoaded(Math.max(old, 0) * 4096, mfn * 4096, true);
  if (old >= 0) pages.put(old);
}

/** Does something to a frame that may be written while it is. */
function asWritable({ pages }: HypercallContext, mfn: number, act: () => void): void {
  pages.get(mfn, TYPE_WRITABLE);
  try {
    act();
  } finally {
    pages.put(mfn);
  }
}

function requireSelf(domain: bigint): void {
  const id = Number(domain & 0xffffn);
  if (id !== DOMID_SELF && id !== 0) throw new Rejection("ESRCH", `there is no domain ${id}`);
}

/** Carries out requests in order up to the first that is refused, and says how many succeeded. */
function forEachRequest(
  xen: HypercallContext,
  name: string,
  one: string,
  count: number,
  doneAt: bigint,
  act: (index: number) => string | undefined,
): Answer {
  if (count > MOST_REQUESTS) throw new Rejection("EINVAL", `${count} requests in one call`);
  const said: string[] = [];
  let failed: Rejection | undefined;
  let index = 0;
  for (; index < count; index++) {
    try {
      const what = act(index);
      if (said.length < 3 && typeof what === "string") said.push(what);
    } catch (thrown) {
      if (!(thrown instanceof Rejection)) throw thrown;
      failed = thrown;
      break;
    }
  }
  if (doneAt !== 0n) xen.memory.write32(doneAt, index);
  if (failed !== undefined) xen.refused(name, { errno: errnoText(failed.errno), reason: failed.reason });
  const more = said.length > 0 ? `: ${said.join("; ")}${count > said.length ? "; ..." : ""}` : "";
  return done(`${counted(count, one)}${more}`, failed === undefined ? 0n : -BigInt(ERRNO[failed.errno]));
}
