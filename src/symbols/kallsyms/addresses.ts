/**
 * The addresses of kallsyms, which Linux has kept in several ways and places:
 *
 * - absolute ones as wide as a pointer, just before the count of names (before 4.6);
 * - offsets of 32 bits and the address that they count from, before the count (4.6 to 6.3) or behind the index of the
 *   tokens (since 6.4). They are unsigned; or, where per-CPU symbols have absolute addresses, those are not negative,
 *   and a negative offset stands for base - 1 - offset;
 * - signed offsets of 32 bits from where each of them lies, behind the index of the tokens.
 *
 * Nothing in the image says which: the right reading is the one that puts the symbols into the image, in order.
 */
import type { KernelImage, LoadedBytes } from "./image";
import type { NameTable } from "./names";
import type { TokenTable } from "./tokens";

/** The share of symbols that a reading must put into the image, and of those that must not go backwards. */
const SHARE = 0.9;

/** The address of each symbol as linked, signed; undefined where no reading fits. */
export function findAddresses(
  image: KernelImage,
  part: LoadedBytes,
  names: NameTable,
  tokens: TokenTable,
): Float64Array | undefined {
  let best: { addresses: Float64Array; score: number } | undefined;
  for (const addresses of readings(image, part, names, tokens)) {
    const score = scoreOf(addresses, image);
    if (score !== undefined && (best === undefined || score > best.score)) best = { addresses, score };
  }
  return best?.addresses;
}

function* readings(
  { pointer }: KernelImage,
  { bytes, address }: LoadedBytes,
  names: NameTable,
  tokens: TokenTable,
): Generator<Float64Array> {
  const { count, countAt } = names;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const aligned = (at: number) => Math.ceil(at / pointer) * pointer;
  const fits = (at: number, size: number) => at >= 0 && at + size <= bytes.length;
  const pointerAt = (at: number) =>
    pointer === 8
      ? view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
      : view.getUint32(at, true);
  const fill = (of: (index: number) => number) => {
    const addresses = new Float64Array(count);
    for (let index = 0; index < count; index++) addresses[index] = of(index);
    return addresses;
  };
  const offsets = aligned(4 * count);
  for (const [at, baseAt] of [
    [countAt - pointer - offsets, countAt - pointer],
    [aligned(tokens.end), aligned(tokens.end) + offsets],
  ]) {
    if (!fits(at, offsets) || !fits(baseAt, pointer)) continue;
    const base = pointerAt(baseAt);
    yield fill((index) => base + view.getUint32(at + 4 * index, true));
    yield fill((index) => {
      const offset = view.getInt32(at + 4 * index, true);
      return offset >= 0 ? offset : base - 1 - offset;
    });
  }
  for (const at of [aligned(tokens.end), countAt - offsets]) {
    if (fits(at, offsets))
      yield fill((index) => address + at + 4 * index + view.getInt32(at + 4 * index, true));
  }
  const absolute = countAt - pointer * count;
  if (fits(absolute, pointer * count)) yield fill((index) => pointerAt(absolute + pointer * index));
}

/** The share of symbols that lie in the image; undefined where too few do, or they are not in order. */
function scoreOf(addresses: Float64Array, { ranges }: KernelImage): number | undefined {
  let inside = 0;
  let rising = 0;
  for (let index = 0; index < addresses.length; index++) {
    const address = addresses[index];
    // The end counts too: labels of linker scripts stand there.
    if (ranges.some(({ start, end }) => address >= start && address <= end)) inside++;
    if (index === 0 || address >= addresses[index - 1]) rising++;
  }
  const least = SHARE * addresses.length;
  return inside >= least && (rising >= least || inside === addresses.length) ? inside + rising : undefined;
}
