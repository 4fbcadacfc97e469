/**
 * The P->M list at an address of the guest's own choice (note INIT_P2M): its frames and those of the tables that map
 * it come out of the domain's memory behind the initial allocation, lowest first.
 */
import type { GuestAbi } from "./abi";
import { DomainError } from "./errors";
import type { InitialMapping } from "./initialMapping";

/** A table page: its guest frame, the index of its parent among the tables (-1: the root), an address that it translates. */
export interface P2mTable {
  readonly pfn: number;
  readonly parent: number;
  readonly level: number;
  readonly address: bigint;
}

/** Entries of one table that follow each other: pages of 4 KiB, 2 MiB or 1 GiB by the table's level. */
export interface P2mLeaves {
  readonly table: number;
  readonly level: number;
  readonly address: bigint;
  readonly pfn: number;
  readonly count: number;
}

export interface P2mMapping {
  readonly address: bigint;
  /** Frames of the list. */
  readonly listFrames: number;
  readonly tables: readonly P2mTable[];
  /** All of the list, in order. */
  readonly leaves: readonly P2mLeaves[];
  /** The first guest frame of all of it, and the first one behind. */
  readonly firstPfn: number;
  readonly endPfn: number;
}

const PAGE = 4096;
const SLOT = 1n << 39n;

/**
 * @param firstPfn the first guest frame behind the initial allocation
 * @throws DomainError where the list lies where it cannot
 */
export function planP2mMapping(
  address: bigint,
  bytes: bigint,
  firstPfn: number,
  initial: InitialMapping,
  abi: GuestAbi,
  pages1G: boolean,
): P2mMapping {
  const end = address + bytes;
  const where = `the P->M list (INIT_P2M 0x${address.toString(16)}, ${bytes} bytes)`;
  if (address % 0x1000n !== 0n) throw new DomainError(`${where} is not page aligned`);
  if (address < initial.end && end > initial.start) {
    throw new DomainError(
      `${where} overlaps the initial mapping 0x${initial.start.toString(16)} to 0x${(initial.end - 1n).toString(16)}`,
    );
  }
  if (address < abi.hypervisorEnd && end > abi.hypervisorStart) {
    throw new DomainError(`${where} lies at the hypervisor's addresses`);
  }
  const lowEnd = 1n << 47n;
  if (
    end > 1n << 64n ||
    (address < lowEnd && end > lowEnd) ||
    (address >= lowEnd && address < -lowEnd + (1n << 64n))
  ) {
    throw new DomainError(`${where} lies at addresses that are not canonical`);
  }
  const plan = new Plan(pages1G, firstPfn);
  const listFrames = Number((bytes + 0xfffn) / 0x1000n);
  plan.map(address, listFrames);
  return { address, listFrames, tables: plan.tables, leaves: plan.leaves, firstPfn, endPfn: plan.nextPfn };
}

class Plan {
  readonly tables: P2mTable[] = [];
  readonly leaves: P2mLeaves[] = [];
  private readonly byKey = new Map<string, number>();

  constructor(
    private readonly pages1G: boolean,
    public nextPfn: number,
  ) {}

  map(from: bigint, pages: number): void {
    for (let done = 0; done < pages; ) {
      const address = from + BigInt(done * PAGE);
      const level = this.levelAt(address, pages - done);
      const step = 512 ** (level - 1);
      const span = 1n << BigInt(12 + 9 * level);
      const untilNext = Number((span - (address % span)) / BigInt(step * PAGE));
      const count = Math.min(untilNext, this.countAt(level, pages - done));
      const table = this.table(address, level);
      this.leaves.push({ table, level, address, pfn: this.nextPfn, count });
      this.nextPfn += count * step;
      done += count * step;
    }
  }

  /** The level of the page at an address: the largest that is aligned and fits. */
  private levelAt(address: bigint, left: number): number {
    for (const level of this.pages1G ? [3, 2] : [2]) {
      const step = 512 ** (level - 1);
      if (address % BigInt(step * PAGE) === 0n && left >= step) return level;
    }
    return 1;
  }

  /** How many pages of a level follow each other. */
  private countAt(level: number, left: number): number {
    if (level > 1) return Math.floor(left / 512 ** (level - 1));
    return left;
  }

  private table(address: bigint, level: number): number {
    if (level === 4) return -1;
    const key = `${level}:${address / (SLOT >> BigInt(9 * (3 - level)))}`;
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    const parent = this.table(address, level + 1);
    this.tables.push({ pfn: this.nextPfn++, parent, level, address });
    this.byKey.set(key, this.tables.length - 1);
    return this.tables.length - 1;
  }
}
