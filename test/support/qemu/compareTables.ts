/** The page tables of a machine of ours beside those in QEMU, byte by byte. */
import type { Machine } from "../../../src/machine/machine";
import { PAGE_SIZE } from "../../../src/machine/memory";
import { listTables } from "../../../src/paging/tables";
import type { QemuMachine } from "./qemuMachine";
import { pageRuns } from "./transplant";

export interface ComparedTables {
  /** Pages of tables that our machine's CR3 leads to. */
  readonly pages: number;
  /** Physical addresses of those that hold something else in QEMU; the root too where CR3 has another value. */
  readonly different: readonly number[];
}

/** Compares every page of tables that CR3 leads to; both machines stand. @throws RemoteError */
export async function compareTables(
  { pagingState, memory, cpu }: Machine,
  qemu: QemuMachine,
): Promise<ComparedTables> {
  const tables = listTables(pagingState, memory).map(({ physical }) => physical);
  const { cr3 } = await qemu.gdb.registers();
  const different = cr3 === cpu.cr3 ? [] : [pagingState.root];
  let pages = 0;
  for (const { start, length } of pageRuns(tables)) {
    const theirs = await qemu.dumpPhysical(start, length);
    for (let at = 0; at < length; at += PAGE_SIZE) {
      const ours = memory.readBytes(start + at, PAGE_SIZE);
      if (theirs.compare(ours, 0, PAGE_SIZE, at, at + PAGE_SIZE) !== 0) different.push(start + at);
      pages++;
    }
  }
  return { pages, different };
}
