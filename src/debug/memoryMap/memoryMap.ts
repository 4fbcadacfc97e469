/** The whole of memory in one answer, of bounded size and by bounded work. */
import { tableWords } from "../../paging/diff";
import { MODE_NAMES } from "../../paging/ranges";
import { listTables, type TablePage, tableKey } from "../../paging/tables";
import type { Target } from "../../target/target";
import { nameOfTable } from "../pageTables/names";
import type {
  LinearRange,
  Mappings,
  MemoryMapAnswer,
  Owner,
  Pointer,
  Pool,
  SpaceName,
} from "../protocol/memoryMap";
import { toHex } from "../protocol/values";
import { changesBetween } from "./changes";
import { type Explored, explore, type Range, topOf } from "./explore";
import { type LargeObject, largeObjects } from "./objects";
import { ownersOf, type PhysicalOwner } from "./owners";
import { type PoolPages, poolsOf } from "./pools";
import { type PhysicalSpace, spaceOf } from "./space";

/** Tables that are listed. */
const MOST_TABLES = 2000;
/** Tables whose contents are compared, of at most 4 KiB each. Where there are more, none is marked. */
const MOST_COMPARED = 512;
const MOST_CHANGES = 500;
const RSP = 4;
/** A and D of an entry. */
const USE = 0x60;
const TOP = 1n << 64n;

/** Memory at one moment. */
interface Look {
  readonly tables: readonly TablePage[];
  readonly moreTables: boolean;
  readonly explored: Explored;
  /** The entries of each table by `tableKey`, but for A and D; undefined where there are too many tables. */
  readonly contents: ReadonlyMap<string, Int32Array> | undefined;
}

/**
 * Answers for one target. Changes are those since the last stop, as far as somebody looked at the map at that stop:
 * while nobody does, running costs nothing.
 */
export class MemoryMap {
  /** At the last resume. */
  private before: Look | undefined;
  private lookedAt = false;
  private objects: readonly LargeObject[] | undefined;
  private space: PhysicalSpace;

  constructor(private readonly target: Target) {
    this.space = spaceOf(target, "domain");
  }

  onResume(): void {
    this.before = this.lookedAt ? this.look() : undefined;
    this.lookedAt = false;
  }

  answer(wanted: SpaceName = "domain"): MemoryMapAnswer {
    const { target } = this;
    const { pagingState: state, machine } = target;
    const space = spaceOf(target, wanted);
    // Addresses of another space cannot be compared.
    if (space.name !== this.space.name) this.before = undefined;
    this.space = space;
    this.lookedAt = true;
    this.objects ??= largeObjects(target.symbols);
    const look = this.look();
    const changed = this.changedTables(look);
    const byAddress = new Map(look.tables.map((table) => [table.physical, table]));
    const pools = poolsOf(target, (physical) => byAddress.get(physical), changed);
    return {
      mode: MODE_NAMES[state.levels],
      root: toHex(state.root),
      rootName: nameOfTable(target, state.root),
      ...(target.xen === undefined ? {} : { space: space.name }),
      instructions: machine.instructions,
      ...mappings(look.explored),
      owners: ownersOf(target, { tables: look.tables, pools, objects: this.objects, space, changed }).map(
        ownerOf,
      ),
      moreTables: look.moreTables,
      changes: this.changes(look),
      pools: pools.map(poolOf),
      pointers: this.pointers(),
    };
  }

  /**
   * A part of linear memory, as far as bounded work tells. The first and the last range may reach over its ends.
   * @param end 0 for the top of the address space
   */
  window(start: bigint, end: bigint): Mappings {
    const { pagingState, memory } = this.target;
    const top = topOf(pagingState);
    const to = end === 0n || end > top ? top : end;
    return mappings(
      start < to ? explore(pagingState, memory, start, to, this.otherSpace) : { mapped: [], unexplored: [] },
    );
  }

  private look(): Look {
    const { pagingState: state, memory } = this.target;
    const tables = listTables(state, memory, MOST_TABLES);
    return {
      tables: tables.slice(0, MOST_TABLES),
      moreTables: tables.length > MOST_TABLES,
      explored: explore(state, memory, 0n, topOf(state), this.otherSpace),
      contents: tables.length > MOST_COMPARED ? undefined : this.contents(tables),
    };
  }

  /** Undefined for the machine's own, whose runs are used as they are. */
  private get otherSpace(): PhysicalSpace | undefined {
    return this.space.name === "machine" ? undefined : this.space;
  }

  private contents(tables: readonly TablePage[]): Map<string, Int32Array> {
    const { pagingState, memory } = this.target;
    const contents = new Map<string, Int32Array>();
    for (const table of tables) {
      const words = tableWords(pagingState, memory, table);
      for (let low = 0; low < words.length; low += 2) words[low] &= ~USE;
      contents.set(tableKey(table.physical, table.level), words);
    }
    return contents;
  }

  private changedTables({ contents }: Look): (table: TablePage) => boolean {
    const before = this.before?.contents;
    if (before === undefined || contents === undefined) return () => false;
    return ({ physical, level }) => {
      const [old, now] = [before, contents].map((each) => each.get(tableKey(physical, level)));
      return old === undefined || now === undefined || old.some((word, index) => word !== now[index]);
    };
  }

  private changes({ explored }: Look): MemoryMapAnswer["changes"] {
    if (this.before === undefined) return [];
    const changes = changesBetween(this.before.explored, explored).slice(0, MOST_CHANGES);
    return changes.map(({ mark, ...range }) => ({ ...rangeOf(range), mark }));
  }

  private pointers(): Pointer[] {
    const { target } = this;
    const { cpu } = target.machine;
    const all: (readonly [Pointer["name"], bigint])[] = [
      ["RIP", cpu.rip],
      ["RSP", cpu.getRegister(RSP)],
    ];
    if (cpu.cr2 !== 0n) all.push(["CR2", cpu.cr2]);
    return all.map(([name, linear]) => {
      const machine = target.physicalOf(linear);
      const physical = machine === undefined ? undefined : this.space.of(machine);
      return {
        name,
        linear: toHex(linear),
        ...(physical === undefined ? {} : { physical: toHex(physical) }),
        ...(machine === undefined || machine === physical ? {} : { machine: toHex(machine) }),
      };
    });
  }
}

function rangeOf({ start, end }: Range): LinearRange {
  return { start: toHex(start), end: toHex(end === TOP ? 0n : end) };
}

function mappings({ mapped, unexplored }: Explored): Mappings {
  return {
    mapped: mapped.map(({ physical, machine, pageSize, flags, pages, ...range }) => ({
      ...rangeOf(range),
      physical: toHex(physical),
      ...(machine === undefined ? {} : { machine: toHex(machine) }),
      pageSize,
      flags,
      pages,
    })),
    unexplored: unexplored.map(rangeOf),
  };
}

function ownerOf({ start, end, linear, machine, ...rest }: PhysicalOwner): Owner {
  return {
    ...rest,
    start: toHex(start),
    end: toHex(end),
    ...(linear === undefined ? {} : { linear: toHex(linear) }),
    ...(machine === undefined || machine === start ? {} : { machine: toHex(machine) }),
  };
}

function poolOf({ start, ...rest }: PoolPages): Pool {
  return { ...rest, start: toHex(start) };
}
