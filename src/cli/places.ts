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

  /** The source line of a linear address; the file relative to the directory of its compilation, where it lies there. */
  source(linear: bigint): string | undefined {
    const place = this.symbols?.lineOf(linear);
    if (place === undefined) return undefined;
    const { file, directory, line } = place;
    const top = directory.endsWith("/") ? directory : `${directory}/`;
    return `${file.startsWith(top) && directory !== "" ? file.slice(top.length) : file}:${line}`;
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
