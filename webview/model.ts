/** The map's data with its addresses as numbers of 64 bits, and what is selected of it. */
import {
  type Mark,
  OWNER_LANES,
  OWNERS,
  type OwnerLane,
  type Pointer,
} from "../src/debug/protocol/memoryMap";
import type { ChangeData, LinearRangeData, MapData, MappedData, OwnerData, SlotData } from "./messages";
import { type Extent, Scale } from "./scale";

/** Addresses as numbers, half-open; the top of the address space is 2^64. */
export interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

export interface OwnerItem extends OwnerData, Span {}
export interface MappedItem extends MappedData, Span {
  /** Physical. */
  readonly from: bigint;
  /** What happened to parts of it since the last stop. */
  readonly marks: readonly Mark[];
}
export interface ChangeItem extends ChangeData, Span {}
export interface UnexploredItem extends LinearRangeData, Span {}
export interface SlotItem extends SlotData, Span {
  readonly start: string;
  readonly pool: string;
  readonly index: number;
}
export interface PointerItem {
  readonly name: Pointer["name"];
  readonly start: string;
  readonly linear: bigint;
  /** Absent where it is not mapped. */
  readonly physical?: bigint;
  readonly machine?: string;
}
export interface PoolItem {
  readonly name: string;
  readonly limit: number;
  readonly next: number;
  readonly slots: readonly SlotItem[];
}

export interface Model {
  readonly data: MapData;
  readonly lanes: Readonly<Record<OwnerLane, readonly OwnerItem[]>>;
  readonly mapped: readonly MappedItem[];
  readonly changes: readonly ChangeItem[];
  readonly unexplored: readonly UnexploredItem[];
  readonly pools: readonly PoolItem[];
  readonly pointers: readonly PointerItem[];
  readonly linear: Scale;
  readonly physical: Scale;
}

export type Selection =
  | { readonly kind: "owner"; readonly item: OwnerItem }
  | { readonly kind: "mapped"; readonly item: MappedItem }
  | { readonly kind: "change"; readonly item: ChangeItem }
  | { readonly kind: "unexplored"; readonly item: UnexploredItem }
  | { readonly kind: "slot"; readonly item: SlotItem }
  | { readonly kind: "pointer"; readonly item: PointerItem };

const TOP = 1n << 64n;
const PAGE = 4096n;

/** Reads the addresses, and makes the scales. */
export function modelOf(data: MapData): Model {
  const owners = data.owners.map((owner) => ({ ...owner, ...spanOf(owner) }));
  const changes = data.changes.map((change) => ({ ...change, ...spanOf(change) }));
  const unexplored = data.unexplored.map((range) => ({ ...range, ...spanOf(range) }));
  const mapped = withMarks(data, changes);
  const pools = data.pools.map(poolOf);
  const pointers = data.pointers.map(({ name, linear, physical, machine }) => ({
    name,
    start: linear,
    linear: BigInt(linear),
    ...(physical === undefined ? {} : { physical: BigInt(physical) }),
    ...(machine === undefined ? {} : { machine }),
  }));
  const targets = mapped.map(({ first, last, from }) => ({ start: from, end: from + (last - first) }));
  const places = pointers.flatMap(({ physical }) => (physical === undefined ? [] : [physical]));
  return {
    data,
    lanes: lanesOf(owners),
    mapped,
    changes,
    unexplored,
    pools,
    pointers,
    linear: Scale.of(
      [...mapped, ...changes, ...unexplored].map(extentOf),
      pointers.map(({ linear }) => linear),
    ),
    physical: Scale.of([...owners.map(extentOf), ...targets], places),
  };
}

/** The addresses of a range of the data. */
export function spanOf({ start, end }: LinearRangeData): Span {
  const last = BigInt(end);
  return { first: BigInt(start), last: last === 0n ? TOP : last };
}

function extentOf({ first, last }: Span): Extent {
  return { start: first, end: last };
}

function lanesOf(owners: readonly OwnerItem[]): Model["lanes"] {
  const lane = (wanted: OwnerLane) => owners.filter(({ kind }) => OWNERS[kind].lane === wanted);
  return Object.fromEntries(OWNER_LANES.map((name) => [name, lane(name)])) as Record<OwnerLane, OwnerItem[]>;
}

/** Both lists ascend: one pass finds which changes lie in which range. */
function withMarks({ mapped }: MapData, changes: readonly ChangeItem[]): MappedItem[] {
  let next = 0;
  return mapped.map((range) => {
    const span = spanOf(range);
    while (next < changes.length && changes[next].last <= span.first) next++;
    const marks = new Set<Mark>();
    for (let i = next; i < changes.length && changes[i].first < span.last; i++) marks.add(changes[i].mark);
    return { ...range, ...span, from: BigInt(range.physical), marks: [...marks] };
  });
}

function poolOf({ name, start, limit, next, slots }: MapData["pools"][number]): PoolItem {
  const base = BigInt(start);
  const item = (slot: SlotData, index: number): SlotItem => {
    const first = base + BigInt(index) * PAGE;
    return { ...slot, start: addressText(first), pool: name, index, first, last: first + PAGE };
  };
  return { name, limit, next, slots: slots.map(item) };
}

/** The owner of the finest lane at a physical address; at a linear one what is mapped, or not looked into. */
export function find(model: Model, place: { physical?: bigint; linear?: bigint }): Selection | undefined {
  const { linear, physical } = place;
  if (linear !== undefined) {
    const item = model.mapped.find(holds(linear));
    if (item !== undefined) return { kind: "mapped", item };
    const unexplored = model.unexplored.find(holds(linear));
    if (unexplored !== undefined) return { kind: "unexplored", item: unexplored };
  }
  if (physical === undefined) return undefined;
  for (const lane of [...OWNER_LANES].reverse()) {
    const item = model.lanes[lane].find(holds(physical));
    if (item !== undefined) return { kind: "owner", item };
  }
  return undefined;
}

function holds(at: bigint): (span: Span) => boolean {
  return ({ first, last }) => at >= first && at < last;
}

/** What stays the same of an item from one picture to the next. */
export function keyOf({ kind, item }: Selection): string {
  switch (kind) {
    case "owner":
      return `owner:${item.start}:${item.end}:${item.label}`;
    case "slot":
      return `slot:${item.pool}:${item.index}`;
    case "pointer":
      return `pointer:${item.name}`;
    default:
      return `${kind}:${item.start}:${item.end}`;
  }
}

/** The item that has a key now. */
export function byKey(model: Model, key: string): Selection | undefined {
  return everything(model).find((selection) => keyOf(selection) === key);
}

function everything(model: Model): Selection[] {
  return [
    ...Object.values(model.lanes).flatMap((lane) => lane.map((item) => ({ kind: "owner" as const, item }))),
    ...model.mapped.map((item) => ({ kind: "mapped" as const, item })),
    ...model.changes.map((item) => ({ kind: "change" as const, item })),
    ...model.unexplored.map((item) => ({ kind: "unexplored" as const, item })),
    ...model.pools.flatMap(({ slots }) => slots.map((item) => ({ kind: "slot" as const, item }))),
    ...model.pointers.map((item) => ({ kind: "pointer" as const, item })),
  ];
}

/** "0xffff880000000000". */
export function addressText(address: bigint): string {
  return `0x${address.toString(16)}`;
}

/** A size with the largest unit that keeps it short. */
export function sizeText(bytes: bigint): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  let size = bytes;
  while (size >= 1024n && unit < units.length - 1 && (size % 1024n === 0n || size >= 1024n * 1024n)) {
    size /= 1024n;
    unit++;
  }
  return size >= 1024n ? `${(Number(size) / 1024).toFixed(1)} ${units[unit + 1]}` : `${size} ${units[unit]}`;
}
