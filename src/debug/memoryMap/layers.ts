/** Ranges of physical memory in layers, of which the upper ones hide the lower. */

export interface PhysicalExtent {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * One list without overlaps, ascending: `upper` whole, and of `lower` what is not hidden by it. Of two that overlap in
 * one list the later wins. Empty ranges are left out.
 */
export function layered<T extends PhysicalExtent>(lower: readonly T[], upper: readonly T[]): T[] {
  const layers: T[] = [];
  for (const item of [...lower, ...upper]) {
    if (item.end <= item.start) continue;
    const from = firstEndingAfter(layers, item.start);
    let to = from;
    while (to < layers.length && layers[to].start < item.end) to++;
    layers.splice(from, to - from, ...around(layers.slice(from, to), item));
  }
  return layers;
}

/** What is left of ranges that an item hides a part of, with the item between. */
function around<T extends PhysicalExtent>(hidden: readonly T[], item: T): T[] {
  const [first, last] = [hidden.at(0), hidden.at(-1)];
  return [
    ...(first !== undefined && first.start < item.start ? [{ ...first, end: item.start }] : []),
    item,
    ...(last !== undefined && last.end > item.end ? [{ ...last, start: item.end }] : []),
  ];
}

function firstEndingAfter(layers: readonly PhysicalExtent[], address: number): number {
  let low = 0;
  let high = layers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (layers[middle].end <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}
