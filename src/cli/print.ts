/** What `--print` asks for, at the stop. */
import { UsageError } from "../boot/boot";
import { REGISTER_NAMES, SEGMENT_NAMES } from "../machine/cpu/registers";
import type { Machine } from "../machine/machine";
import type { Symbols } from "../symbols/symbols";
import type { Places } from "../target/places";
import type { PrintRequest } from "./args";
import type { CliIo } from "./io";
import type { Report } from "./report";
import { resolvePlace, unknownSymbol } from "./stopper";
import { tableRows, tableSummary } from "./tables";
import { walkReport } from "./walk";

/** A request whose address is known. */
export type ResolvedPrint = { what: "tables" } | { what: "registers" } | { what: "walk"; address: bigint };

/** @throws UsageError where a symbol is not known */
export function resolvePrint(request: PrintRequest, symbols: Symbols | undefined): ResolvedPrint {
  if (request.what !== "walk") return request;
  const address = resolvePlace(request.place, symbols);
  if (address === undefined) throw new UsageError(`--print walk: ${unknownSymbol(request.place, symbols)}`);
  return { what: "walk", address };
}

/** Rows between two chances for the user to interrupt. */
const ROWS_AT_ONCE = 2000;

export async function printRequested(
  request: ResolvedPrint,
  machine: Machine,
  report: Report,
  places: Places,
  io: CliIo,
): Promise<void> {
  if (request.what === "registers") report.registers(registersOf(machine));
  else if (request.what === "walk") report.walk(walkReport(machine, request.address, places));
  else await printTables(machine, report, places, io);
}

/** Tables that refer to themselves have more rows than anybody wants to wait for. */
async function printTables(machine: Machine, report: Report, places: Places, io: CliIo): Promise<void> {
  report.tables();
  let left = ROWS_AT_ONCE;
  for (const row of tableRows(machine)) {
    report.tableRow(row);
    if (--left > 0) continue;
    await io.breathe();
    if (io.interrupted() || io.outputClosed()) return;
    left = ROWS_AT_ONCE;
  }
  report.tableSummary(tableSummary(machine, places));
}

/** Registers by name, in the order in which they are printed. */
export function registersOf({ cpu }: Machine): [string, bigint][] {
  return [
    ["rip", cpu.rip],
    ["rflags", BigInt(cpu.rflags)],
    ...REGISTER_NAMES.map((name, index): [string, bigint] => [name, cpu.getRegister(index)]),
    ["cr0", BigInt(cpu.cr0 >>> 0)],
    ["cr2", cpu.cr2],
    ["cr3", cpu.cr3],
    ["cr4", BigInt(cpu.cr4 >>> 0)],
    ["efer", BigInt(cpu.efer >>> 0)],
    ...SEGMENT_NAMES.map((name, index): [string, bigint] => [name, BigInt(cpu.selectors[index])]),
    ["fs_base", cpu.segmentBase(SEGMENT_NAMES.indexOf("fs"))],
    ["gs_base", cpu.segmentBase(SEGMENT_NAMES.indexOf("gs"))],
    ["gdt_base", cpu.gdtBase],
    ["idt_base", cpu.idtBase],
  ];
}
