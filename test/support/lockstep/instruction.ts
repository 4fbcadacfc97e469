/** What lockstep has to know of the instruction that comes next. */
import {
  Code,
  Decoder,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
  Instruction,
  Mnemonic,
  OpKind,
  RflagsBits,
} from "iced-x86";

/** How a step over an instruction is taken. */
export type InstructionKind =
  /** Reads a clock or a device that goes by one: both machines go on with QEMU's answer. */
  | "time"
  /** Asks the machine what it is; asked everywhere, not only where every instruction is compared. */
  | "question"
  /** A string instruction with a repeat prefix. */
  | "repeat"
  | "plain";

export interface InstructionFacts {
  readonly kind: InstructionKind;
  readonly length: number;
  /** RFLAGS bits that it may leave with any value. */
  readonly undefinedFlags: bigint;
}

const RFLAGS: readonly [iced: number, bit: bigint][] = [
  [RflagsBits.OF, 0x800n],
  [RflagsBits.SF, 0x80n],
  [RflagsBits.ZF, 0x40n],
  [RflagsBits.AF, 0x10n],
  [RflagsBits.CF, 0x1n],
  [RflagsBits.PF, 0x4n],
];
const [CF, OF] = [0x1n, 0x800n];

/** The 8254's ports, and port B of the system control, which shows its output. */
const TIMER_PORTS: ReadonlySet<number> = new Set([0x40, 0x41, 0x42, 0x43, 0x61]);
const SHIFTS: ReadonlySet<Mnemonic> = new Set([Mnemonic.Shl, Mnemonic.Shr, Mnemonic.Sal, Mnemonic.Sar]);
const ROTATES: ReadonlySet<Mnemonic> = new Set([Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Rcl, Mnemonic.Rcr]);
const DOUBLE_SHIFTS: ReadonlySet<Mnemonic> = new Set([Mnemonic.Shld, Mnemonic.Shrd]);
const QUESTIONS: ReadonlySet<Mnemonic> = new Set([Mnemonic.Cpuid, Mnemonic.Rdmsr, Mnemonic.In]);
const CLOCKS: ReadonlySet<Mnemonic> = new Set([Mnemonic.Rdtsc, Mnemonic.Rdtscp]);

const instruction = new Instruction();
const formatter = new Formatter(FormatterSyntax.Intel);

function decode(bytes: Uint8Array, rip: bigint, bitness: 32 | 64): boolean {
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  decoder.ip = rip;
  decoder.decodeOut(instruction);
  decoder.free();
  return instruction.code !== Code.INVALID;
}

/** @param registers of the moment before it; RCX and RDX decide on counts and ports */
export function factsOf(
  bytes: Uint8Array,
  rip: bigint,
  bitness: 32 | 64,
  registers: { readonly rcx: bigint; readonly rdx: bigint },
): InstructionFacts {
  if (!decode(bytes, rip, bitness)) return { kind: "plain", length: 1, undefinedFlags: 0n };
  return {
    kind: kindOf(Number(registers.rdx & 0xffffn)),
    length: instruction.length,
    undefinedFlags: undefinedFlags(Number(registers.rcx & 0xffn)),
  };
}

function kindOf(dx: number): InstructionKind {
  const { mnemonic } = instruction;
  if (CLOCKS.has(mnemonic)) return "time";
  if (mnemonic === Mnemonic.In) {
    const port = instruction.op1Kind === OpKind.Immediate8 ? Number(instruction.immediate(1)) : dx;
    return TIMER_PORTS.has(port) ? "time" : "question";
  }
  if (QUESTIONS.has(mnemonic)) return "question";
  const repeats = instruction.hasRepPrefix || instruction.hasRepnePrefix;
  return repeats && instruction.isStringInstruction ? "repeat" : "plain";
}

/** What the decoder says, and what depends on the count of a shift (SDM vol. 2, SAL/SAR/SHL/SHR, RCL, SHLD). */
function undefinedFlags(cl: number): bigint {
  const { mnemonic, rflagsUndefined } = instruction;
  let flags = 0n;
  for (const [iced, bit] of RFLAGS) if ((rflagsUndefined & iced) !== 0) flags |= bit;
  const double = DOUBLE_SHIFTS.has(mnemonic);
  if (!double && !SHIFTS.has(mnemonic) && !ROTATES.has(mnemonic)) return flags;
  const last = instruction.opCount - 1;
  const immediate = instruction.opKind(last) === OpKind.Immediate8;
  const count = (immediate ? Number(instruction.immediate(last) & 0xffn) : cl) & 63;
  if (count !== 1) flags |= OF;
  // Operands of 32 and 64 bits are never shifted by their size or more.
  if (SHIFTS.has(mnemonic) && (count & 31) >= 8) flags |= CF;
  return flags;
}

export function textOf(bytes: Uint8Array, rip: bigint, bitness: 32 | 64): string {
  return decode(bytes, rip, bitness) ? formatter.format(instruction) : "(no instruction)";
}

/** The addresses of instructions in a piece of 64-bit code that ask for the time or for what the machine is. */
export function* sitesIn(code: Uint8Array, address: bigint): Generator<bigint> {
  const decoder = new Decoder(64, code, DecoderOptions.None);
  try {
    decoder.ip = address;
    while (decoder.canDecode) {
      decoder.decodeOut(instruction);
      const { mnemonic, ip } = instruction;
      if (QUESTIONS.has(mnemonic) || CLOCKS.has(mnemonic)) yield ip;
    }
  } finally {
    decoder.free();
  }
}
