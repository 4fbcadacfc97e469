/** Disassembly, with symbols and source lines; also of what lies before an address. */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } from "iced-x86";
import type { Target } from "../target/target";

export interface DisassembledInstruction {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** "(bad)" for bytes that are no instruction, "(not mapped)" where there is no memory. */
  readonly text: string;
  readonly valid: boolean;
}

export type Syntax = "intel" | "att";

/** Bytes before an address from which its predecessors are found. */
const LOOK_BACK = 4096n;
const LONGEST = 15;

export class Disassembler {
  constructor(
    private readonly target: Target,
    private readonly syntax: () => Syntax,
  ) {}

  /**
   * Instructions around an address, which begins one.
   * @param offset of the first one in instructions; negative for those before
   * @param count how many are given, always
   */
  around(address: bigint, offset: number, count: number): DisassembledInstruction[] {
    const before = offset < 0 ? this.before(address, -offset) : [];
    const missing = offset < 0 ? -offset - before.length : 0;
    const padding = Array.from({ length: missing }, (_, i) => absent(address - BigInt(missing - i)));
    const head = [...padding, ...before].slice(0, count);
    const skip = Math.max(0, offset);
    const after = this.from(address, skip + count - head.length).slice(skip);
    return [...head, ...after].slice(0, count);
  }

  /** Instructions from an address on. */
  from(address: bigint, count: number): DisassembledInstruction[] {
    const found: DisassembledInstruction[] = [];
    if (count <= 0) return found;
    let at = BigInt.asUintN(64, address);
    while (found.length < count) {
      const bytes = this.target.readLinear(at, Math.min((count - found.length) * LONGEST, 4096));
      const decoded = this.decode(at, bytes, count - found.length);
      if (decoded.length === 0) {
        found.push(absent(at));
        at = BigInt.asUintN(64, at + 1n);
        continue;
      }
      found.push(...decoded);
      const last = decoded[decoded.length - 1];
      at = BigInt.asUintN(64, last.address + BigInt(last.bytes.length));
    }
    return found;
  }

  /**
   * Up to `count` instructions that end just before an address: from the symbol that holds what lies before it, else
   * from the farthest address from which decoding falls into step with it.
   */
  private before(address: bigint, count: number): DisassembledInstruction[] {
    const reach = BigInt(Math.min(Number(LOOK_BACK), count * LONGEST + LONGEST));
    const hit = this.target.symbols.nameOf(address - 1n);
    const symbol = hit === undefined ? undefined : address - 1n - BigInt(hit.offset);
    const starts: bigint[] = [];
    if (symbol !== undefined && address - symbol <= LOOK_BACK) starts.push(symbol);
    for (let back = reach; back > reach - BigInt(LONGEST) && back > 0n; back--) starts.push(address - back);
    for (const start of starts) {
      const line = this.between(start, address);
      if (line === undefined) continue;
      if (line.length >= count || start !== symbol) return line.slice(-count);
      return [...this.before(start, count - line.length), ...line];
    }
    return [];
  }

  /** The instructions from `start` to `end`; undefined where none ends at `end`. */
  private between(start: bigint, end: bigint): DisassembledInstruction[] | undefined {
    if (start < 0n) return undefined;
    const length = Number(end - start);
    const bytes = this.target.readExactly(start, length);
    if (bytes === undefined) return undefined;
    const line = this.decode(start, bytes, length);
    const last = line.at(-1);
    return last !== undefined && last.address + BigInt(last.bytes.length) === end ? line : undefined;
  }

  private decode(address: bigint, bytes: Uint8Array, count: number): DisassembledInstruction[] {
    if (bytes.length === 0) return [];
    const { cpu } = this.target.machine;
    const bits = cpu.code64 ? 64 : 32;
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    const formatter = new Formatter(this.syntax() === "att" ? FormatterSyntax.Gas : FormatterSyntax.Intel);
    const instruction = new Instruction();
    formatter.spaceAfterOperandSeparator = true;
    formatter.hexPrefix = "0x";
    formatter.hexSuffix = "";
    formatter.uppercaseHex = false;
    const found: DisassembledInstruction[] = [];
    try {
      decoder.ip = address;
      while (decoder.canDecode && found.length < count) {
        const from = decoder.position;
        decoder.decodeOut(instruction);
        const valid = !instruction.isInvalid;
        // What the end of the bytes cuts off is decoded again with what follows.
        if (!valid && bytes.length - from < LONGEST && found.length > 0 && bytes.length >= LONGEST) break;
        const length = valid ? instruction.length : 1;
        if (!valid) decoder.position = from + 1;
        const at = BigInt.asUintN(64, address + BigInt(from));
        decoder.ip = BigInt.asUintN(64, at + BigInt(length));
        found.push({
          address: at,
          bytes: bytes.slice(from, from + length),
          text: valid ? this.withSymbol(formatter.format(instruction), instruction) : "(bad)",
          valid,
        });
      }
    } finally {
      instruction.free();
      formatter.free();
      decoder.free();
    }
    return found;
  }

  /** A branch's target and an absolute operand by name. */
  private withSymbol(text: string, instruction: Instruction): string {
    const place = instruction.isIpRelMemoryOperand
      ? instruction.ipRelMemoryAddress
      : instruction.nearBranchTarget;
    if (place === 0n) return text;
    const name = this.target.places.symbol(place);
    return name === undefined ? text : `${text}  <${name}>`;
  }
}

function absent(address: bigint): DisassembledInstruction {
  return {
    address: BigInt.asUintN(64, address),
    bytes: new Uint8Array(),
    text: "(not mapped)",
    valid: false,
  };
}

/** Bytes as the disassembly view shows them: "48 8b 05". */
export function bytesText(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
