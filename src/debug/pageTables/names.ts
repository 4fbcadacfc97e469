/** Names of tables and other places in physical memory, for rows and hovers. */
import type { Target } from "../../target/target";
import { toHex } from "../protocol/values";

const PAGE = 4096;

/** The symbol at a physical address; of an array of pages the element: "early_dynamic_pgts[3]". */
export function nameOfTable(target: Target, physical: number): string | undefined {
  const hit = target.symbols.nameOfPhysical(physical);
  if (hit === undefined) return undefined;
  const size = Number(target.symbols.sizeOf(hit.name) ?? 0n);
  if (size > PAGE && size % PAGE === 0 && hit.offset % PAGE === 0) return `${hit.name}[${hit.offset / PAGE}]`;
  return hit.offset === 0 ? hit.name : `${hit.name}+${toHex(hit.offset)}`;
}

/**
 * A place in physical memory with its name: "early_level4_pgt (0x1002000)". Of a paravirtual domain the machine's
 * address, and the guest's frame number: "init_level4_pgt (0x1018b000, pfn 0x106)".
 */
export function placeText(target: Target, physical: number): string {
  const name = nameOfTable(target, physical);
  const owner = ownerText(target, physical);
  if (name === undefined) return owner === undefined ? toHex(physical) : `${toHex(physical)} (${owner})`;
  return `${name} (${toHex(physical)}${owner === undefined ? "" : `, ${owner}`})`;
}

/** Whose a machine frame is: "pfn 0x106", "the hypervisor's"; undefined where there is no hypervisor. */
export function ownerText({ xen }: Target, physical: number): string | undefined {
  if (xen === undefined) return undefined;
  const pfn = xen.domain.frames.pfnOf(Math.floor(physical / PAGE));
  return pfn < 0 ? "the hypervisor's" : `pfn ${toHex(pfn)}`;
}

/** What the hypervisor knows of a frame of its guest: "in use as an L1 table (count 1, pinned)". */
export function useText({ xen }: Target, physical: number): string | undefined {
  const mfn = Math.floor(physical / PAGE);
  if (xen === undefined || xen.domain.frames.pfnOf(mfn) < 0) return undefined;
  return xen.describeFrame(mfn);
}

/** An entry by its table and index: "early_level4_pgt[511]", "0x23fffd000[4]". */
export function entryName(target: Target, table: number, index: number): string {
  return `${nameOfTable(target, table) ?? toHex(table)}[${index}]`;
}

/** Where the hypervisor's frames stand behind a domain's: beyond all physical addresses. */
const BEYOND = 2 ** 52;

/** The physical address as a paravirtual domain counts it; the machine's own where there is no hypervisor. */
export function domainAddress({ xen }: Target, physical: number): number {
  if (xen === undefined) return physical;
  const pfn = xen.domain.frames.pfnOf(Math.floor(physical / PAGE));
  return pfn < 0 ? BEYOND + physical : pfn * PAGE + (physical % PAGE);
}
