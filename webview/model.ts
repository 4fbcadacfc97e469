/** The map's data with its addresses as numbers of 64 bits, and what is selected of it. */
import type { MapData, MappedData, OwnerData, PoolData } from "./messages";
import { type Extent, Scale } from "./scale";

export interface OwnerItem extends OwnerData, Extent0 {}
export interface MappedItem extends MappedData, Extent0 {
  readonly from: bigint;
  readonly changed: boolean;
}

/** Addresses as numbers; `end` of the top of the address space is 2^64. */
interface Extent0 {
  readonly first: bigint;
  readonly last: bigint;
}

export interface Model {
  readonly data: MapData;
  readonly owners: readonly OwnerItem[];
  readonly mapped: readonly MappedItem[];
  readonly pools: readonly PoolData[];
  readonly linear: Scale;
  readonly physical: Scale;
}

export type Selection =
  | { readonly kind: "owner"; readonly item: OwnerItem }
  | { readonly kind: "mapped"; readonly item: MappedItem };

const TOP = 1n << 64n;

/** Reads the addresses, and makes the scales. */
export function modelOf(data: MapData): Model {
  const owners = data.owners.map((owner) => ({
    ...owner,
    first: BigInt(owner.start),
    last: BigInt(owner.end),
  }));
  const mapped = data.mapped.map((range) => ({
    ...range,
    first: BigInt(range.start),
    last: BigInt(range.end) === 0n ? TOP : BigInt(range.end),
    from: BigInt(range.physical),
    changed: data.changes.some(
      ({ start, end }) =>
        BigInt(start) < (BigInt(range.end) || TOP) && (BigInt(end) || TOP) > BigInt(range.start),
    ),
  }));
  const extent = ({ first, last }: Extent0): Extent => ({ start: first, end: last });
  const targets = mapped.map(({ first, last, from }) => ({ start: from, end: from + (last - first) }));
  return {
    data,
    owners,
    mapped,
    pools: data.pools,
    linear: Scale.of(mapped.map(extent)),
    physical: Scale.of([...owners.map(extent), ...targets]),
  };
}

/** The owner in the foreground at a physical address; the mapped range at a linear one. */
export function find(model: Model, place: { physical?: bigint; linear?: bigint }): Selection | undefined {
  const holds = (at: bigint) => (item: Extent0) => at >= item.first && at < item.last;
  if (place.linear !== undefined) {
    const item = model.mapped.find(holds(place.linear));
    if (item !== undefined) return { kind: "mapped", item };
  }
  if (place.physical === undefined) return undefined;
  const item = model.owners.filter(holds(place.physical)).at(-1);
  return item === undefined ? undefined : { kind: "owner", item };
}

/** "0xffff880000000000" with the zeros that a reader needs. */
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
