/** How a domain begins: the CPU at its entry, and what lies where. */
import type { SegmentState, StartState } from "../machine/startState";
import { type DomainPart, type DomainPlan, pfnAt } from "./domain";
import { roundUp } from "./initialMapping";

const ALL_ONES = 0xffff_ffff;
const CR0 = 0x8001_0031;
const CR4_PAE = 0x20;
const CR4_PGE = 0x80;
const EFER_64 = 0x501;
const EFER_NXE = 0x800;
const RFLAGS_IF = 0x202;

/** The CPU at the entry of the domain. */
export function startStateOf(plan: DomainPlan): StartState {
  const { abi, notes, mapping, frames, options } = plan;
  const registers = { rsp: mapping.stack + 0x1000n, rsi: mapping.startInfo };
  const wide = abi.bits === 64;
  const data: SegmentState = {
    selector: abi.kernelSs,
    base: 0n,
    limit: ALL_ONES,
    attributes: wide ? 0xc0f3 : 0xc0b3,
  };
  const nothing: SegmentState = { selector: 0, base: 0n, limit: 0, attributes: 0 };
  const other = wide ? nothing : data;
  return {
    rip: notes.entry,
    rflags: RFLAGS_IF,
    registers,
    cr0: CR0,
    cr3: BigInt(frames.mfnOf(pfnAt(plan, mapping.tables))) * 4096n,
    cr4: CR4_PAE | CR4_PGE,
    efer: (wide ? EFER_64 : 0) | (options.nx ? EFER_NXE : 0),
    segments: {
      cs: { selector: abi.kernelCs, base: 0n, limit: ALL_ONES, attributes: wide ? 0xa0fb : 0xc0bb },
      ss: data,
      ds: other,
      es: other,
      fs: other,
      gs: other,
    },
    gdtr: { base: abi.gdt, limit: 0xffff },
  };
}

/**
 * What lies where in the domain's memory.
 * @param kernelStart where the kernel begins, in bytes from VIRT_BASE on
 */
export function partsOf(plan: DomainPlan, kernelStart: bigint): DomainPart[] {
  const { mapping, p2m } = plan;
  const part = (name: string, from: bigint, to: bigint) => ({
    name,
    pfn: pfnAt(plan, from),
    pages: pfnAt(plan, roundUp(to, 0x1000n)) - pfnAt(plan, from),
  });
  const all = [
    part("kernel", mapping.start + kernelStart, mapping.ramdisk),
    part("ramdisk", mapping.ramdisk, mapping.p2mList),
    part("P->M list", mapping.p2mList, mapping.startInfo),
    part("start_info", mapping.startInfo, mapping.tables),
    part("builder's page tables", mapping.tables, mapping.stack),
    part("first stack", mapping.stack, mapping.stack + 0x1000n),
  ];
  if (p2m !== undefined) {
    all.push({ name: "P->M list with its tables", pfn: p2m.firstPfn, pages: p2m.endPfn - p2m.firstPfn });
  }
  return all.filter(({ pages }) => pages > 0);
}
