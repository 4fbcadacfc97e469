/**
 * What is shown in place of a source file: the disassembly of the function, with the lines that it comes from, and how
 * the sources can be found; of code that no symbol covers, the disassembly around the place. A listing is a text with a
 * number, as the protocol has it (`sourceReference`); code that was changed since gets another.
 */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { sameBytes } from "../bytes/sameBytes";
import type { LineInfo } from "../symbols/debugInfo";
import type { Target } from "../target/target";
import { bytesText, type DisassembledInstruction, type Disassembler } from "./disassembly";
import { toHex } from "./protocol/values";
import { nameOf, type Sources } from "./sources";
import type { Frame } from "./stack/stack";

/** Instructions of one listing at most; of a longer function those around the place. */
const LONGEST = 1000;
/** Instructions before and behind a place in code without symbols. */
const AROUND = { before: 32, behind: 400 } as const;
/** A run of so many instructions of zero bytes is empty memory. */
const EMPTY = 8;
/** Listings that are kept: editors ask for the text of what a stack trace named. */
const MOST = 200;

/** The text of a part of a function. */
export interface Listing {
  readonly source: DebugProtocol.Source;
  readonly text: string;
  /** Addresses by line from 1 on; undefined for comments. */
  readonly addresses: readonly (bigint | undefined)[];
  /** Of code without symbols: what it was made of. */
  readonly code?: { readonly bits: 32 | 64; readonly start: bigint; readonly bytes: Uint8Array };
}

/** A function as linked. */
interface Extent {
  readonly name: string;
  readonly start: bigint;
  has(linked: bigint): boolean;
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
   * The listing of the function that a frame stands in, or of what lies around the place.
   * @param file that its place is in, as debugging information names it; undefined where it says nothing of the place
   * @returns with the line of the frame's instruction, from 1 on; undefined where the code cannot be read
   */
  of(frame: Frame, file: string | undefined): { source: DebugProtocol.Source; line: number } | undefined {
    const { rip, lookup } = frame;
    const extent = lookup === undefined ? undefined : this.extentOf(lookup);
    if (lookup === undefined || extent === undefined) return this.around(frame);
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
    if (scope !== undefined && range !== undefined) {
      const { start, end } = range;
      return { name: scope.name, start, has: (linked) => linked >= start && linked < end };
    }
    const hit = symbols.nameOf(lookup);
    if (hit === undefined) return undefined;
    const start = lookup - BigInt(hit.offset);
    return { name: hit.name, start, has: (linked) => symbols.nameOf(linked)?.name === hit.name };
  }

  /** Of code without symbols: the listing that has this instruction, unless its code was changed, or a new one. */
  private around({ rip, interrupted }: Frame): { source: DebugProtocol.Source; line: number } | undefined {
    // A return address may lie behind all that is code.
    if (!interrupted) return undefined;
    const bits = this.target.machine.cpu.code64 ? 64 : 32;
    for (const listing of this.byReference.values()) {
      if (listing.code?.bits !== bits) continue;
      const line = listing.addresses.indexOf(rip) + 1;
      if (line > 0 && this.unchanged(listing.code)) return { source: listing.source, line };
    }
    const { before, behind } = AROUND;
    const code = codeAround(this.disassembler.around(rip, -before, before + behind), rip);
    if (!code.some(({ address }) => address === rip)) return undefined;
    const reference = this.next++;
    const listing = loose(rip, code, bits, reference);
    this.keep(`around:${reference}`, reference, listing);
    return { source: listing.source, line: listing.addresses.indexOf(rip) + 1 };
  }

  private unchanged({ start, bytes }: { start: bigint; bytes: Uint8Array }): boolean {
    return sameBytes(this.target.readLinear(start, bytes.length), bytes);
  }

  /** Of the function or, where it is long, around the place. */
  private instructions({ start, has }: Extent, lookup: bigint, by: bigint): DisassembledInstruction[] {
    const within = (list: DisassembledInstruction[]) =>
      list.filter(({ address, bytes }) => bytes.length > 0 && has(address - by));
    const whole = within(this.disassembler.from(start + by, LONGEST));
    const last = whole.at(-1);
    if (last === undefined || last.address + BigInt(last.bytes.length) > lookup + by) return whole;
    return within(this.disassembler.around(lookup + by, -LONGEST / 2, LONGEST));
  }

  private listing(
    extent: Extent,
    code: readonly DisassembledInstruction[],
    by: bigint,
    file: string | undefined,
    lookup: bigint,
  ): Listing {
    const key = `${file}:${code[0].address}:${code.map(({ bytes }) => bytesText(bytes)).join()}`;
    const known = this.byReference.get(this.references.get(key) ?? 0);
    if (known !== undefined) return known;
    const reference = this.next++;
    const listing = this.write(extent, code, by, file, lookup, reference);
    this.keep(key, reference, listing);
    return listing;
  }

  private keep(key: string, reference: number, listing: Listing): void {
    if (this.byReference.size >= MOST) this.forgetOldest();
    this.references.set(key, reference);
    this.byReference.set(reference, listing);
  }

  private write(
    { name }: Extent,
    code: readonly DisassembledInstruction[],
    by: bigint,
    file: string | undefined,
    lookup: bigint,
    reference: number,
  ): Listing {
    const { symbols } = this.target;
    const lines =
      file === undefined ? withoutLines(name, symbols.lines) : this.withoutFile(name, file, lookup);
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
      origin:
        file === undefined
          ? "disassembly: no line information"
          : `disassembly: ${nameOf(file)} is not on this machine`,
    };
    return { source, text: `${lines.join("\n")}\n`, addresses };
  }

  private withoutFile(name: string, file: string, lookup: bigint): string[] {
    const directory = this.target.symbols.lineOf(lookup)?.directory ?? "";
    return [
      `# ${this.sources.toPath(file)} is not on this machine; this is the disassembly of ${name}.`,
      '# To see the source, set "sourceFileMap" in the launch configuration, for example',
      `#   "sourceFileMap": { ${JSON.stringify(prefixOf(file, directory))}: "/path/to/the/sources" }`,
      "",
    ];
  }

  private forgetOldest(): void {
    const [key] = this.references.keys();
    this.byReference.delete(this.references.get(key) ?? 0);
    this.references.delete(key);
  }
}

/** What of it lies between unmapped or empty memory, around an address. */
function codeAround(code: readonly DisassembledInstruction[], rip: bigint): DisassembledInstruction[] {
  const place = code.findIndex(({ address }) => address === rip);
  const isEmpty = (from: number) =>
    code
      .slice(Math.max(0, from), Math.max(0, from) + EMPTY)
      .every(({ bytes }) => bytes.every((byte) => byte === 0));
  const isMapped = ({ bytes }: DisassembledInstruction) => bytes.length > 0;
  let [start, end] = [place, place + 1];
  while (start > 0 && isMapped(code[start - 1]) && !isEmpty(start - EMPTY)) start--;
  while (end < code.length && isMapped(code[end]) && !isEmpty(end)) end++;
  return code.slice(start, end).filter(isMapped);
}

/** @param lines what debugging information says of other code */
function withoutLines(name: string, lines: LineInfo | undefined): string[] {
  const why = `# There is no line information for ${name}; this is its disassembly.`;
  if (lines !== undefined && lines.files().length > 0) return [why, ""];
  return [
    why,
    '# Debugging information is read from an ELF file of the same build: "symbols" in the launch configuration.',
    "",
  ];
}

function loose(
  rip: bigint,
  code: readonly DisassembledInstruction[],
  bits: 32 | 64,
  reference: number,
): Listing {
  const lines = ["# No symbol covers this code; this is the disassembly around the place.", ""];
  const addresses = [...lines.map(() => undefined), ...code.map(({ address }) => address)];
  lines.push(...code.map(({ address, text }) => `${toHex(address)}  ${text}`));
  return {
    source: {
      name: `${toHex(rip)}.s`,
      sourceReference: reference,
      origin: "disassembly: no symbol covers this code",
    },
    text: `${lines.join("\n")}\n`,
    addresses,
    code: { bits, start: code[0].address, bytes: Uint8Array.from(code.flatMap(({ bytes }) => [...bytes])) },
  };
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
