/**
 * What is shown in place of a source file that is not on this machine: the disassembly of the function, with the
 * lines that it comes from, and how the sources can be found. A listing is a text with a number, as the protocol has it
 * (`sourceReference`); a function whose code was changed since gets another.
 */
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Target } from "../target/target";
import { bytesText, type DisassembledInstruction, type Disassembler } from "./disassembly";
import { toHex } from "./protocol/values";
import { nameOf, type Sources } from "./sources";
import type { Frame } from "./stack/stack";

/** Instructions of one listing at most; of a longer function those around the place. */
const LONGEST = 1000;
/** Listings that are kept: editors ask for the text of what a stack trace named. */
const MOST = 200;

/** The text of a part of a function. */
export interface Listing {
  readonly source: DebugProtocol.Source;
  readonly text: string;
  /** Addresses by line from 1 on; undefined for comments. */
  readonly addresses: readonly (bigint | undefined)[];
}

interface Extent {
  readonly name: string;
  readonly start: bigint;
  readonly end: bigint;
}

export class Listings {
  private readonly byReference = new Map<number, Listing>();
  private readonly references = new Map<string, number>();
  private next = 1;

  constructor(
    private readonly target: Target,
    private readonly disassembler: Disassembler,
    private readonly sources: Sources,
  ) {}

  /** A listing by its number. */
  get(reference: number): Listing | undefined {
    return this.byReference.get(reference);
  }

  /**
   * The listing of the function that a frame stands in.
   * @param file that its place is in, as debugging information names it
   * @returns with the line of the frame's instruction, from 1 on; undefined where the function cannot be told or read
   */
  of(frame: Frame, file: string): { source: DebugProtocol.Source; line: number } | undefined {
    const { rip, lookup } = frame;
    if (lookup === undefined) return undefined;
    const extent = this.extentOf(lookup);
    if (extent === undefined) return undefined;
    // Identity-mapped code lies elsewhere than it is linked.
    const by = (frame.interrupted ? rip : rip - 1n) - lookup;
    const code = this.instructions(extent, lookup, by);
    if (code.length === 0) return undefined;
    const listing = this.listing(extent, code, by, file, lookup);
    const line = lineOf(listing, lookup + by);
    return line === undefined ? undefined : { source: listing.source, line };
  }

  private extentOf(lookup: bigint): Extent | undefined {
    const { symbols } = this.target;
    const scope = symbols.debug?.functionsAt(lookup).at(-1);
    const range = scope?.ranges.find(({ start, end }) => lookup >= start && lookup < end);
    if (scope !== undefined && range !== undefined) return { name: scope.name, ...range };
    const hit = symbols.nameOf(lookup);
    if (hit === undefined) return undefined;
    const start = lookup - BigInt(hit.offset);
    const size = symbols.sizeOf(hit.name) ?? 0n;
    return {
      name: hit.name,
      start,
      end: start + (size > BigInt(hit.offset) ? size : BigInt(hit.offset) + 64n),
    };
  }

  /** Of the function or, where it is long, around the place. */
  private instructions({ start, end }: Extent, lookup: bigint, by: bigint): DisassembledInstruction[] {
    const within = (list: DisassembledInstruction[]) =>
      list.filter(({ address, bytes }) => bytes.length > 0 && address >= start + by && address < end + by);
    const whole = within(this.disassembler.from(start + by, LONGEST));
    const last = whole.at(-1);
    if (last === undefined || last.address + BigInt(last.bytes.length) > lookup + by) return whole;
    return within(this.disassembler.around(lookup + by, -LONGEST / 2, LONGEST));
  }

  private listing(
    extent: Extent,
    code: readonly DisassembledInstruction[],
    by: bigint,
    file: string,
    lookup: bigint,
  ): Listing {
    const key = `${file}:${code[0].address}:${code.map(({ bytes }) => bytesText(bytes)).join()}`;
    const known = this.byReference.get(this.references.get(key) ?? 0);
    if (known !== undefined) return known;
    const reference = this.next++;
    const listing = this.write(extent, code, by, file, lookup, reference);
    if (this.byReference.size >= MOST) this.forgetOldest();
    this.references.set(key, reference);
    this.byReference.set(reference, listing);
    return listing;
  }

  private write(
    { name }: Extent,
    code: readonly DisassembledInstruction[],
    by: bigint,
    file: string,
    lookup: bigint,
    reference: number,
  ): Listing {
    const { symbols } = this.target;
    const directory = symbols.lineOf(lookup)?.directory ?? "";
    const lines = [
      `# ${this.sources.toPath(file)} is not on this machine; this is the disassembly of ${name}.`,
      '# To see the source, set "sourceFileMap" in the launch configuration, for example',
      `#   "sourceFileMap": { ${JSON.stringify(prefixOf(file, directory))}: "/path/to/the/sources" }`,
      "",
    ];
    const addresses: (bigint | undefined)[] = lines.map(() => undefined);
    let before = "";
    for (const { address, text } of code) {
      const row = symbols.lines?.rowOf(address - by);
      const place = row === undefined || row.line === 0 ? before : `${row.file}:${row.line}`;
      if (place !== before) {
        lines.push(`# ${place}`);
        addresses.push(undefined);
        before = place;
      }
      lines.push(`${toHex(address)}  ${text}`);
      addresses.push(address);
    }
    const source = {
      name: `${name}.s`,
      sourceReference: reference,
      origin: `disassembly: ${nameOf(file)} is not on this machine`,
    };
    return { source, text: `${lines.join("\n")}\n`, addresses };
  }

  private forgetOldest(): void {
    const [key] = this.references.keys();
    this.byReference.delete(this.references.get(key) ?? 0);
    this.references.delete(key);
  }
}

/** The line of the instruction that holds an address. */
function lineOf({ addresses }: Listing, address: bigint): number | undefined {
  let line: number | undefined;
  for (const [index, each] of addresses.entries()) {
    if (each === undefined) continue;
    if (each > address) break;
    line = index + 1;
  }
  return line;
}

/**
 * The prefix of a path that is worth mapping: what it has in common with the directory of its compilation, else its
 * own directory.
 */
export function prefixOf(file: string, directory: string): string {
  const [names, others] = [file.split("/"), directory.split("/")];
  let common = 0;
  while (common < names.length - 1 && common < others.length && names[common] === others[common]) common++;
  const shared = names.slice(0, common).join("/");
  if (shared !== "" && shared !== "/") return shared;
  const own = file.slice(0, Math.max(0, file.lastIndexOf("/")));
  return own === "" ? (file.startsWith("/") ? "/" : ".") : own;
}
