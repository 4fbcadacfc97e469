/** Who owns physical memory: what the firmware says, what the loader put there, the image's sections, the tables. */
import { entryCount, entrySize } from "../../paging/layout";
import type { TablePage } from "../../paging/tables";
import type { Symbols } from "../../symbols/symbols";
import type { Target } from "../../target/target";
import type { Domain } from "../../xen/domainBuilder";
import { nameOfTable, useText } from "../pageTables/names";
import type { OwnerKind, PoolSlot } from "../protocol/memoryMap";
import { layered } from "./layers";
import type { LargeObject } from "./objects";
import type { PoolPages } from "./pools";
import type { PhysicalSpace } from "./space";

const RSP = 4;
const PAGE = 4096;

/** An owner with its addresses as numbers; the end is exclusive. */
export interface PhysicalOwner {
  readonly kind: OwnerKind;
  readonly label: string;
  readonly start: number;
  readonly end: number;
  readonly level?: number;
  readonly linear?: bigint;
  readonly machine?: number;
  readonly use?: string;
  readonly changed?: boolean;
}

/** What else is known of the moment. */
export interface OwnerSources {
  readonly tables: readonly TablePage[];
  readonly pools: readonly PoolPages[];
  readonly objects: readonly LargeObject[];
  readonly space: PhysicalSpace;
  changed(table: TablePage): boolean;
}

/** Everything that owns memory: lane by lane, each ascending and without overlaps. */
export function ownersOf(target: Target, sources: OwnerSources): PhysicalOwner[] {
  const { tables, pools, objects, space, changed } = sources;
  const upper = [
    ...tables.flatMap((table) => tableOwner(target, space, table, changed(table))),
    ...stack(target, space),
  ];
  // A domain's memory is scattered over the machine's: there, only single pages can be told.
  if (target.xen !== undefined && space.name === "machine") {
    return [...layered([], machineRanges(target.xen.domain)), ...joined(layered([], upper))];
  }
  const lower = [...largeOnes(target, space, objects), ...pools.flatMap(poolPages)];
  return [
    ...layered([], firmware(target)),
    ...layered(placed(target, space), sections(target, space)),
    ...joined(layered(lower, upper)),
  ];
}

/** E820 types by number (ACPI 6.5, table 15.4). */
const E820: Readonly<Record<number, readonly [OwnerKind, string]>> = {
  1: ["ram", "usable RAM"],
  2: ["reserved", "reserved"],
  3: ["acpi", "ACPI tables"],
  4: ["acpi", "ACPI NVS"],
  5: ["reserved", "unusable"],
  7: ["reserved", "persistent memory"],
};

function firmware({ boot }: Target): PhysicalOwner[] {
  return boot.e820.map(({ start, end, type }) => {
    const [kind, label] = E820[type] ?? ["reserved", `e820 type ${type}`];
    return { kind, label, start, end };
  });
}

/** What the loader put into memory. Segments whose sections are known are told by those. */
function placed(target: Target, space: PhysicalSpace): PhysicalOwner[] {
  const known = sections(target, space);
  return target.boot.placements
    .filter(({ start, end }) => !known.some((section) => section.start >= start && section.end <= end))
    .map(({ name, start, end }) => ({ kind: kindOfPlacement(name), label: name, start, end }));
}

function kindOfPlacement(name: string): OwnerKind {
  if (name === "ramdisk") return "ramdisk";
  return name.startsWith("kernel segment") ? "data" : "boot";
}

function sections({ symbols }: Target, space: PhysicalSpace): PhysicalOwner[] {
  return symbols.sections.flatMap(({ name, address, size, executable }) => {
    const start = imageAddress(symbols, space, address);
    if (start === undefined) return [];
    return [{ kind: executable ? "code" : "data", label: name, start, end: start + size }];
  });
}

function imageAddress(symbols: Symbols, space: PhysicalSpace, linked: bigint): number | undefined {
  const machine = symbols.physicalOf(linked);
  return machine === undefined ? undefined : space.of(machine);
}

/** Whose the machine's memory is, where there is a hypervisor. */
function machineRanges({ frames, hypervisorFrames: own }: Domain): PhysicalOwner[] {
  const range = (kind: OwnerKind, label: string, start: number, end: number) => ({
    kind,
    label,
    start: start * PAGE,
    end: end * PAGE,
  });
  return [
    range("reserved", "hypervisor", 0, frames.firstMfn),
    range("ram", "the domain's machine frames", frames.firstMfn, frames.endMfn),
    range("reserved", "M2P table", own.m2p, own.m2p + own.m2pFrames),
  ];
}

function largeOnes(
  { symbols }: Target,
  space: PhysicalSpace,
  objects: readonly LargeObject[],
): PhysicalOwner[] {
  return objects.flatMap(({ name, address, size }) => {
    const start = imageAddress(symbols, space, address);
    return start === undefined ? [] : [{ kind: "object", label: name, start, end: start + size }];
  });
}

function poolPages({ name, start, slots }: PoolPages): PhysicalOwner[] {
  const owner = (slot: PoolSlot, index: number): PhysicalOwner => ({
    kind: "pool",
    label: `${name}: ${slot.state}`,
    start: start + index * PAGE,
    end: start + (index + 1) * PAGE,
  });
  return slots.map(owner);
}

const TABLE_NAMES = ["", "PT", "PD", "PDPT", "PML4", "PML5"] as const;

/** "early_level4_pgt", or what a table is at its level. */
function tableOwner(
  target: Target,
  space: PhysicalSpace,
  table: TablePage,
  changed: boolean,
): PhysicalOwner[] {
  const { physical, level, address } = table;
  const { levels } = target.pagingState;
  const start = space.of(physical);
  if (start === undefined) return [];
  const use = useText(target, physical);
  return [
    {
      kind: "table",
      label: nameOfTable(target, physical) ?? TABLE_NAMES[level],
      start,
      end: start + entryCount(levels, level) * entrySize(levels),
      level,
      linear: address,
      machine: physical,
      ...(use === undefined ? {} : { use }),
      ...(changed ? { changed } : {}),
    },
  ];
}

/** The page that RSP points into. */
function stack(target: Target, space: PhysicalSpace): PhysicalOwner[] {
  const machine = target.physicalOf(BigInt.asUintN(64, target.machine.cpu.getRegister(RSP) - 1n));
  const physical = machine === undefined ? undefined : space.of(machine);
  if (physical === undefined) return [];
  const start = physical - (physical % PAGE);
  return [{ kind: "stack", label: "stack", start, end: start + PAGE }];
}

/** Pages that follow each other and have the same to say as one. */
function joined(owners: readonly PhysicalOwner[]): PhysicalOwner[] {
  const result: PhysicalOwner[] = [];
  for (const owner of owners) {
    const last = result.at(-1);
    const same =
      last !== undefined &&
      last.end === owner.start &&
      last.kind === owner.kind &&
      last.label === owner.label &&
      last.level === owner.level &&
      last.use === owner.use &&
      last.changed === owner.changed;
    if (same) result[result.length - 1] = { ...last, end: owner.end };
    else result.push(owner);
  }
  return result;
}
