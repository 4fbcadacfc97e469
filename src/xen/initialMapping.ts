/** Where a domain's initial allocation lies, in pages from VIRT_BASE on, and how many table pages map it. */
import type { GuestAbi } from "./abi";
import { DomainError } from "./errors";

const PAGE = 0x1000n;
const MIB = 1n << 20n;
const GIB = 1n << 30n;
/** What a 64-bit guest's initial mapping can be at most (Xen maps it within the last GiB but one of the kernel map). */
const LARGEST = GIB;

/** What needs room. Bytes, but for `start`. */
export interface InitialParts {
  readonly start: bigint;
  /** From `start` to the end of the kernel with its BSS. */
  readonly kernel: bigint;
  /** 0 where there is none, or it is not mapped. */
  readonly ramdisk: bigint;
  /** 0 where the list lies elsewhere. */
  readonly p2mList: bigint;
}

/** Virtual addresses of the parts, each page aligned. */
export interface InitialMapping {
  readonly start: bigint;
  readonly ramdisk: bigint;
  readonly p2mList: bigint;
  readonly startInfo: bigint;
  readonly tables: bigint;
  readonly tablePages: number;
  readonly stack: bigint;
  /** What is mapped ends here. */
  readonly end: bigint;
}

/** @throws DomainError where the guest's address space does not hold it */
export function layOut(abi: GuestAbi, parts: InitialParts): InitialMapping {
  const ramdisk = parts.start + roundUp(parts.kernel, PAGE);
  const p2mList = ramdisk + roundUp(parts.ramdisk, PAGE);
  const startInfo = p2mList + roundUp(parts.p2mList, PAGE);
  const tables = startInfo + PAGE;
  for (let tablePages = 2; ; tablePages++) {
    const stack = tables + BigInt(tablePages) * PAGE;
    const end = paddedEnd(stack + PAGE);
    checkReach(abi, parts, end);
    if (tablesFor(abi, parts.start, end) <= tablePages) {
      return { start: parts.start, ramdisk, p2mList, startInfo, tables, tablePages, stack, end };
    }
  }
}

/** Table pages that map a range: a root, and each level below as far as the range reaches. */
export function tablesFor(abi: GuestAbi, start: bigint, end: bigint): number {
  let tables = 1;
  for (let shift = 12n + 9n; shift < 12n + 9n * BigInt(abi.levels); shift += 9n) {
    tables += Number(((end - 1n) >> shift) - (start >> shift)) + 1;
  }
  return tables;
}

function paddedEnd(stackEnd: bigint): bigint {
  const end = roundUp(stackEnd, 4n * MIB);
  return end - stackEnd < MIB / 2n ? end + 4n * MIB : end;
}

function checkReach(abi: GuestAbi, { start, p2mList, kernel, ramdisk }: InitialParts, end: bigint): void {
  const needed = end - start;
  const parts = `kernel ${mib(kernel)} MiB, ramdisk ${mib(ramdisk)} MiB, P->M list ${mib(p2mList)} MiB`;
  if (abi.bits === 64 && needed > LARGEST) {
    throw new DomainError(
      `the initial mapping does not fit: it needs ${mib(needed)} MiB from 0x${start.toString(16)} on (${parts}), ` +
        `and can be ${mib(LARGEST)} MiB at most; an INIT_P2M note would take the list out of it`,
    );
  }
  const overlaps = start < abi.hypervisorEnd && end > abi.hypervisorStart;
  if (!overlaps && end <= (abi.bits === 64 ? 1n << 64n : 1n << 32n)) return;
  throw new DomainError(
    `the initial mapping 0x${start.toString(16)} to 0x${(end - 1n).toString(16)} (${parts}) touches the ` +
      `hypervisor's addresses, 0x${abi.hypervisorStart.toString(16)} to 0x${(abi.hypervisorEnd - 1n).toString(16)}`,
  );
}

function mib(bytes: bigint): string {
  return String((bytes + MIB - 1n) / MIB);
}

export function roundUp(value: bigint, unit: bigint): bigint {
  return ((value + unit - 1n) / unit) * unit;
}
