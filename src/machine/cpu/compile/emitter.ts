/**
 * Text of JavaScript for one block. Instructions are emitted in order; each may be text of its own or a call of its
 * closure, so that what is not worth text costs nothing to support.
 *
 * Names within the text: `c` the CPU, `r` its register file, `m` its MMU, `o` the closures; `a3`, `b3`, `v3`, ... are
 * values of instruction 3, with an `H` behind them for a high half.
 */
import { type Instruction, Register } from "iced-x86";
import { immediateOf, isMemory, isRegister, registerNumber, type Site, segmentNumber } from "../operands";
import { FS, R_HIGH, R_KIND, R_OP1, R_OP2, R_RES, R_SEGMENT_BASE } from "../registers";

/** Where the status flags came from, as names in the text: what a condition can be computed from directly. */
export interface FlagSource {
  readonly operation: "add" | "sub" | "logic";
  readonly wide: boolean;
  /** The number behind the names a (first operand), b (second) and v (result). */
  readonly id: number;
}

export class Emitter {
  private readonly lines: string[] = [];
  flags: FlagSource | undefined;
  /** Number of the instruction that is being emitted. */
  id = 0;

  line(text: string): void {
    this.lines.push(text);
  }

  get text(): string {
    return this.lines.join("\n");
  }

  /** Tells the run loop which instruction runs: before everything that can fault or that takes the time. */
  mark(): void {
    this.line(`c.index=${this.id};`);
  }

  /** Leaves the block where the instruction asked for it. */
  checkLeave(): void {
    this.line(`if(c.leave)return ${this.id + 1};`);
  }

  /** Calls the closure of the instruction. */
  closure(): void {
    this.mark();
    this.line(`o[${this.id}](c);`);
    this.checkLeave();
    this.flags = undefined;
  }

  /** Declares `name` (and `nameH`) as the linear address of the memory operand. False where it has no text. */
  address(site: Site, name: string): boolean {
    const { instruction } = site;
    if (site.bitness !== 64) return false;
    const segment = segmentNumber(instruction.memorySegment);
    const low = lowAddress(instruction);
    if (low === undefined) return false;
    this.line(low.declare(name));
    if (segment < FS) return true;
    const base = R_SEGMENT_BASE + 2 * segment;
    this.line(`${name}H=(${name}H+r[${base + 1}])|0;`);
    this.line(`{const t=${name};${name}=(t+r[${base}])|0;if(${name}>>>0<t>>>0)${name}H=(${name}H+1)|0;}`);
    return true;
  }

  /** Declares `name` as the 32-bit value of operand `n`. The address of a memory operand is in `p`. */
  value32(instruction: Instruction, n: number, name: string, p: string): void {
    this.line(`const ${name}=${this.source32(instruction, n, p)};`);
  }

  private source32(instruction: Instruction, n: number, p: string): string {
    if (isRegister(instruction, n)) return `r[${2 * registerNumber(instruction.opRegister(n))}]`;
    if (isMemory(instruction, n)) return `m.load32(${p},${p}H)`;
    return `${immediateOf(instruction, n).low}`;
  }

  /** Declares `name` and `nameH` as the 64-bit value of operand `n`. */
  value64(instruction: Instruction, n: number, name: string, p: string): void {
    if (isRegister(instruction, n)) {
      const word = 2 * registerNumber(instruction.opRegister(n));
      this.line(`const ${name}=r[${word}],${name}H=r[${word + 1}];`);
    } else if (isMemory(instruction, n)) {
      this.line(`const ${name}=m.load64(${p},${p}H),${name}H=r[${R_HIGH}];`);
    } else {
      const { low, high } = immediateOf(instruction, n);
      this.line(`const ${name}=${low},${name}H=${high};`);
    }
  }

  /** Writes a value to register `register`, as wide as it is. */
  setRegister(register: Register, name: string, wide: boolean): void {
    const word = 2 * registerNumber(register);
    this.line(`r[${word}]=${name};r[${word + 1}]=${wide ? `${name}H` : "0"};`);
  }

  /** Keeps the operands of an addition or subtraction, or the result of a logic operation, as lazy flags. */
  keepFlags(kind: number, logic: boolean, wide: boolean): void {
    const { id } = this;
    let text = `r[${R_RES}]=v${id};r[${R_KIND}]=${kind};`;
    if (wide) text += `r[${R_RES + 1}]=v${id}H;`;
    if (!logic) {
      text += `r[${R_OP1}]=a${id};r[${R_OP2}]=b${id};`;
      if (wide) text += `r[${R_OP1 + 1}]=a${id}H;r[${R_OP2 + 1}]=b${id}H;`;
    }
    this.line(text);
  }
}

/** How the address of a memory operand is written, for 64-bit addressing. */
function lowAddress(instruction: Instruction): { declare(name: string): string } | undefined {
  const base = instruction.memoryBase;
  const index = instruction.memoryIndex;
  const displacement = BigInt.asIntN(64, instruction.memoryDisplacement);
  const low = Number(BigInt.asIntN(32, displacement));
  const high = Number(BigInt.asIntN(32, displacement >> 32n));
  if (base === Register.RIP || (base === Register.None && index === Register.None)) {
    if (instruction.memoryDisplSize === 4 && base === Register.None && displacement > 0x7fffffffn)
      return undefined;
    return { declare: (name) => `let ${name}=${low},${name}H=${high};` };
  }
  if (base === Register.EIP) return undefined;
  if ((base !== Register.None && base < Register.RAX) || (index !== Register.None && index < Register.RAX)) {
    return undefined;
  }
  if (index === Register.None) {
    const b = 2 * registerNumber(base);
    if (low === 0 && high === 0) return { declare: (name) => `let ${name}=r[${b}],${name}H=r[${b + 1}];` };
    const carry = (name: string) => `(${name}>>>0<${low >>> 0}?1:0)`;
    return {
      declare: (name) => `let ${name}=(r[${b}]+${low})|0,${name}H=(r[${b + 1}]+${high}+${carry(name)})|0;`,
    };
  }
  return { declare: (name) => scaled(name, instruction, base, index, low, high) };
}

/** index * scale [+ base] + displacement. */
function scaled(
  name: string,
  instruction: Instruction,
  base: Register,
  index: Register,
  low: number,
  high: number,
): string {
  const i = 2 * registerNumber(index);
  const shift = 31 - Math.clz32(instruction.memoryIndexScale);
  let text =
    shift === 0
      ? `let ${name}=r[${i}],${name}H=r[${i + 1}];`
      : `let ${name}=r[${i}]<<${shift},${name}H=(r[${i + 1}]<<${shift})|(r[${i}]>>>${32 - shift});`;
  if (base !== Register.None) {
    const b = 2 * registerNumber(base);
    text += `{const t=${name};${name}=(t+r[${b}])|0;${name}H=(${name}H+r[${b + 1}]+(${name}>>>0<t>>>0?1:0))|0;}`;
  }
  if (low !== 0 || high !== 0) {
    text += `{${name}=(${name}+${low})|0;${name}H=(${name}H+${high}+(${name}>>>0<${low >>> 0}?1:0))|0;}`;
  }
  return text;
}
