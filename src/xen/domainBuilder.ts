/**
 * Builds a paravirtual domain: its memory, its first page tables, what it is told, and the CPU state at its entry
 * (Xen: the domain builder). All is planned before anything is written.
 */
import { ABI_32, ABI_64, type GuestAbi } from "./abi";
import { type Domain, type DomainOptions, type DomainPlan, type PvImage, pfnAt } from "./domain";
import { DomainMemory } from "./domainMemory";
import { partsOf, startStateOf } from "./domainStart";
import { DomainError } from "./errors";
import { layOut } from "./initialMapping";
import { type ContiguousFrames, type FrameRange, MachineFrames } from "./machineFrames";
import { type PvNotes, readNotes } from "./notes";
import { type P2mMapping, planP2mMapping } from "./p2mMapping";

const PAGE = 4096;
const SHARED_INFO = 0x200;
const GDT = 0x201;
const HEAP = 0x210;
/** The machine frame of guest frame 0: 256 MiB up. */
const FIRST_MFN = 0x10000;
const LARGE = 512;
const HUGE = 512 * 512;

/** @throws DomainError where the image, its notes or the memory do not allow it */
export function buildDomain(image: PvImage, options: DomainOptions): Domain {
  const abi = image.bits === 64 ? ABI_64 : ABI_32;
  const notes = readNotes(image.notes, image.bits);
  checkMode(notes, abi);
  const kernel = kernelExtent(image, notes);
  const outside = options.p2mOutside && notes.initP2m !== undefined;
  const listBytes = BigInt(options.nrPages) * BigInt(abi.word);
  const ramdisk = options.ramdisk ?? new Uint8Array();
  const mapping = layOut(abi, {
    start: notes.virtBase,
    kernel: kernel.end,
    ramdisk: notes.modStartPfn ? 0n : BigInt(ramdisk.length),
    p2mList: outside ? 0n : listBytes,
  });
  const initialPages = Number((mapping.end - mapping.start) / BigInt(PAGE));
  const populated = options.populated ?? [{ start: 0, end: options.nrPages }];
  const ramdiskPages = notes.modStartPfn ? Math.ceil(ramdisk.length / PAGE) : 0;
  requireMemory(populated, initialPages + ramdiskPages, "the initial mapping");
  const p2mMapping = outside
    ? planP2mMapping(notes.initP2m!, listBytes, initialPages + ramdiskPages, mapping, abi, options.pages1G)
    : undefined;
  if (p2mMapping !== undefined) requireMemory(populated, p2mMapping.endPfn, "the P->M list with its tables");
  const firstFree = FIRST_MFN + Math.ceil(options.nrPages / LARGE) * LARGE;
  const listMfn = Math.ceil(firstFree / HUGE) * HUGE;
  const frames = new MachineFrames(
    options.nrPages,
    populated,
    FIRST_MFN,
    options.order,
    p2mMapping === undefined ? [] : contiguousParts(p2mMapping, listMfn),
  );
  const m2p = Math.ceil(frames.endMfn / HUGE) * HUGE;
  const m2pFrames = Math.ceil((frames.endMfn * abi.word) / PAGE);
  if (abi.bits === 32 && BigInt(m2pFrames * PAGE) > abi.gdt - abi.m2p) {
    throw new DomainError(
      `the domain's ${options.nrPages} pages are too many for a 32-bit guest: the machine-to-physical table would need ` +
        `${inMib(m2pFrames)} MiB of the ${(abi.gdt - abi.m2p) >> 20n} MiB that the hypervisor has for it`,
    );
  }
  const end = (m2p + m2pFrames) * PAGE;
  if (end > 2 ** Math.min(options.maxPhysicalBits, 51)) {
    throw new DomainError(
      `the domain's ${options.nrPages} pages need machine addresses up to 0x${end.toString(16)}, beyond the CPU's ${options.maxPhysicalBits} bits`,
    );
  }
  const plan: DomainPlan = { image, options, abi, notes, mapping, frames, p2m: p2mMapping, ramdisk };
  const hypervisorFrames = { sharedInfo: SHARED_INFO, gdt: GDT, heap: HEAP, m2p, m2pFrames };
  return {
    abi,
    notes,
    frames,
    mapping,
    p2m: { address: p2mMapping?.address ?? mapping.p2mList, outside: p2mMapping },
    root: frames.mfnOf(pfnAt(plan, mapping.tables)),
    hypervisorFrames,
    ram: [{ start: 0, end }],
    parts: partsOf(plan, kernel.start),
    start: startStateOf(plan),
    apply: (memory) => new DomainMemory(plan).apply(memory, hypervisorFrames),
  };
}

function checkMode(notes: PvNotes, abi: GuestAbi): void {
  if (abi.bits === 32 && notes.paeMode !== undefined && !notes.paeMode.startsWith("yes")) {
    throw new DomainError(`the Xen note PAE_MODE is "${notes.paeMode}", and only PAE guests are supported`);
  }
  const known = ["writable_page_tables", "pae_pgdir_above_4gb"];
  const impossible = notes.required.find((feature) => !known.includes(feature) && feature !== "");
  if (impossible !== undefined) {
    throw new DomainError(
      `the image needs the hypervisor's feature ${impossible}, which this one does not have`,
    );
  }
}

/** The kernel in bytes from VIRT_BASE on. */
function kernelExtent({ segments }: PvImage, notes: PvNotes): { start: bigint; end: bigint } {
  if (segments.length === 0) throw new DomainError("the image has no loadable segments");
  let [start, end] = [1n << 64n, 0n];
  for (const { physical, memorySize } of segments) {
    const from = physical - notes.paddrOffset;
    if (from < 0n) {
      throw new DomainError(
        `the Xen notes contradict the image: PADDR_OFFSET 0x${notes.paddrOffset.toString(16)} is above the segment at 0x${physical.toString(16)}`,
      );
    }
    if (from < start) start = from;
    if (from + BigInt(memorySize) > end) end = from + BigInt(memorySize);
  }
  const entry = notes.entry - notes.virtBase;
  if (entry < start || entry >= end) {
    throw new DomainError(
      `the Xen notes contradict the image: ENTRY 0x${notes.entry.toString(16)} lies in none of its segments`,
    );
  }
  const { hypercallPage: page } = notes;
  if (
    page !== undefined &&
    (page % 0x1000n !== 0n || page - notes.virtBase < start || page - notes.virtBase >= end)
  ) {
    throw new DomainError(
      `the Xen note HYPERCALL_PAGE is 0x${page.toString(16)}, which is not a page of the image`,
    );
  }
  return { start, end };
}

function requireMemory(populated: readonly FrameRange[], pages: number, what: string): void {
  const [first] = populated;
  if (first !== undefined && first.start === 0 && first.end >= pages) return;
  const has = first === undefined || first.start > 0 ? 0 : first.end;
  throw new DomainError(
    `${what} needs the domain's first ${pages} pages (${inMib(pages)} MiB), and the domain has ${has} (${inMib(has)} MiB) from its start on`,
  );
}

/** The list's machine frames follow each other, so that large pages can map it. */
function contiguousParts({ leaves }: P2mMapping, listMfn: number): ContiguousFrames[] {
  let mfn = listMfn;
  return leaves.map(({ pfn, level, count }) => {
    const part = { pfn, mfn, count: count * 512 ** (level - 1) };
    mfn += part.count;
    return part;
  });
}

function inMib(pages: number): number {
  return Math.ceil(pages / 256);
}
