/** Who owns physical memory: what the firmware says, what the loader put there, the image's sections, the tables. */
import type { TablePage } from "../../paging/tables";
import type { Target } from "../../target/target";
import { nameOfTable } from "../pageTables/names";
import type { Owner, OwnerKind } from "../protocol/memoryMap";
import { toHex } from "../protocol/values";

const RSP = 4;
const PAGE = 4096;
/** Tables that are listed one by one at most. */
const MOST_TABLES = 2000;

/** E820 types by number (ACPI 6.5, table 15.4). */
const E820_NAMES: Readonly<Record<number, string>> = {
  1: "usable RAM",
  2: "reserved",
  3: "ACPI tables",
  4: "ACPI NVS",
  5: "unusable",
  7: "persistent",
};

/** Everything that owns memory, the background first. */
export function ownersOf(
  target: Target,
  tables: readonly TablePage[],
  changed: (table: TablePage) => boolean,
): Owner[] {
  return [
    ...firmware(target),
    ...loaded(target),
    ...sections(target),
    ...stack(target),
    ...tables.slice(0, MOST_TABLES).map(
      (table): Owner => ({
        ...owner(
          "table",
          nameOfTable(target, table.physical) ?? `level ${table.level} table`,
          table.physical,
          table.physical + PAGE,
        ),
        level: table.level,
        ...(changed(table) ? { changed: true } : {}),
      }),
    ),
  ];
}

function owner(kind: OwnerKind, label: string, start: number, end: number): Owner {
  return { kind, label, start: toHex(start), end: toHex(end) };
}

function firmware({ boot }: Target): Owner[] {
  return boot.e820.map(({ start, end, type }) =>
    owner(type === 1 ? "ram" : "reserved", `e820: ${E820_NAMES[type] ?? `type ${type}`}`, start, end),
  );
}

function loaded({ boot }: Target): Owner[] {
  return boot.placements.map(({ name, start, end }) => {
    const kind: OwnerKind = /ramdisk|initrd/i.test(name)
      ? "ramdisk"
      : /segment/i.test(name)
        ? "image"
        : "boot";
    return owner(kind, name, start, end);
  });
}

function sections({ symbols }: Target): Owner[] {
  return symbols.sections.flatMap(({ name, address, size, executable }) => {
    const start = symbols.physicalOf(address);
    return start === undefined ? [] : [owner(executable ? "image" : "data", name, start, start + size)];
  });
}

/** The page that RSP points into. */
function stack(target: Target): Owner[] {
  const physical = target.physicalOf(target.machine.cpu.getRegister(RSP) - 1n);
  if (physical === undefined) return [];
  const start = physical - (physical % PAGE);
  return [owner("stack", "stack (where RSP points)", start, start + PAGE)];
}
