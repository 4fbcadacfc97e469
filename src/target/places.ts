/** How places are named in reports: `name+0x12` and `file:line`, from whatever symbols there are. */
import type { Symbols } from "../symbols/symbols";
import { hex } from "./values";

interface Named {
  readonly name: string;
  readonly offset: number;
}

export class Places {
  /** @param symbols undefined where the image has none: then nothing has a name */
  constructor(readonly symbols: Symbols | undefined) {}

  /** The symbol of a linear address. */
  symbol(linear: bigint): string | undefined {
    return named(this.symbols?.nameOf(linear));
  }

  /** The symbol of the call that returns to an address: the function may end there. */
  caller(returnAddress: bigint): string | undefined {
    const hit = this.symbols?.nameOf(returnAddress - 1n);
    return hit === undefined ? undefined : named({ ...hit, offset: hit.offset + 1 });
  }

  /** The source line of a linear address; the file as seen from the directory of its compilation. */
  source(linear: bigint): string | undefined {
    const place = this.symbols?.lineOf(linear);
    return place === undefined ? undefined : `${relativePath(place.directory, place.file)}:${place.line}`;
  }

  /** The symbol that a physical address belongs to: the name of a table in the image. */
  physical(address: number): string | undefined {
    return named(this.symbols?.nameOfPhysical(address));
  }

  /** A physical address with its name, for text: `early_level4_pgt (0x1c02000)`. */
  table(address: number): string {
    const name = this.physical(address);
    return name === undefined ? hex(address) : `${name} (${hex(address)})`;
  }
}

function named(hit: Named | undefined): string | undefined {
  if (hit === undefined) return undefined;
  return hit.offset === 0 ? hit.name : `${hit.name}+${hex(hit.offset)}`;
}

/** Steps up that still read better than the whole path. */
const MOST_UPS = 2;

/** A path as seen from a directory, where it lies there or near. */
function relativePath(directory: string, file: string): string {
  const from = directory.split("/");
  const to = file.split("/");
  let common = 0;
  while (common < from.length && common < to.length - 1 && from[common] === to[common]) common++;
  const ups = from.length - common;
  return common <= 1 || ups > MOST_UPS
    ? file
    : [...Array<string>(ups).fill(".."), ...to.slice(common)].join("/");
}
