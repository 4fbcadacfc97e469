/**
 * Which checkpoints go: the more, the farther they are from the present moment, so that few are enough for a long run.
 * Those before what will be gone back to stay longest.
 */
import type { Chain } from "./chain";

/** Checkpoints at most, and those of them that are not thinned out because they are marked. */
const MOST = 96;
const MOST_MARKED = 24;

/**
 * Forgets checkpoints until there are not too many, and they cost no more than a budget. What cannot be helped:
 * the present moment's own checkpoint, with what was written since.
 */
export function thin(chain: Chain, budget: number): void {
  while (chain.all.length > MOST || chain.bytes > budget) {
    const index = leastMissed(chain, false) ?? leastMissed(chain, true);
    if (index !== undefined) chain.remove(index);
    // The future is found again by running on; of the past, the beginning is what is left to give up.
    else if (chain.next !== undefined) chain.dropLast();
    else if (chain.baseIndex > 0) chain.dropFirst();
    else return;
  }
}

/**
 * The checkpoint without which the way to its neighbour is longest no more than in proportion to its distance.
 * @param evenMarked whether the marked ones may go too; only the first ones of them are spared otherwise
 */
function leastMissed(chain: Chain, evenMarked: boolean): number | undefined {
  const { all, baseIndex } = chain;
  const present = all[baseIndex].position.instruction;
  let best: number | undefined;
  let least = Number.POSITIVE_INFINITY;
  let spared = 0;
  for (let i = 1; i + 1 < all.length; i++) {
    if (i === baseIndex) continue;
    if (!evenMarked && all[i].marked && spared++ < MOST_MARKED) continue;
    const gap = all[i + 1].position.instruction - all[i - 1].position.instruction;
    const distance = Math.max(1, Math.abs(all[i].position.instruction - present));
    if (gap / distance >= least) continue;
    least = gap / distance;
    best = i;
  }
  return best;
}
