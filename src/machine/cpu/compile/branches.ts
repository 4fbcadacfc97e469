/** Text for JMP, Jcc and CALL with a direct target, in 64-bit mode: the last instruction of a block. */
import { Mnemonic, OpKind } from "iced-x86";
import type { Site } from "../operands";
import { JCC_MNEMONICS } from "../ops/conditions";
import { R_RIP } from "../registers";
import type { Emitter, FlagSource } from "./emitter";
import { emitPush } from "./moves";

const CONDITION_CODES = new Map(JCC_MNEMONICS.map((mnemonic, code) => [mnemonic, code]));

/** A branch as text: whether it is taken, and where to. */
export interface Branch {
  /** A JavaScript condition; "true" for JMP. */
  readonly condition: string;
  readonly low: number;
  readonly high: number;
}

/** The branch that an instruction is, or undefined. Emits nothing. */
export function branchOf(e: Emitter, site: Site): Branch | undefined {
  const { instruction } = site;
  if (site.bitness !== 64 || instruction.op0Kind !== OpKind.NearBranch64) return undefined;
  const target = instruction.nearBranchTarget;
  const place = { low: Number(BigInt.asIntN(32, target)), high: Number(BigInt.asIntN(32, target >> 32n)) };
  if (instruction.mnemonic === Mnemonic.Jmp) {
    const self = place.low === site.low && place.high === site.high;
    return self ? undefined : { condition: "true", ...place };
  }
  const code = CONDITION_CODES.get(instruction.mnemonic);
  if (code === undefined) return undefined;
  return { condition: conditionText(e.flags, code), ...place };
}

/** CALL with a direct target. False where it is none. */
export function emitCall(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  if (site.bitness !== 64 || instruction.mnemonic !== Mnemonic.Call) return false;
  if (instruction.op0Kind !== OpKind.NearBranch64) return false;
  const target = instruction.nearBranchTarget;
  e.mark();
  emitPush(e, `${site.nextLow}`, `${site.nextHigh}`);
  e.line(goTo(Number(BigInt.asIntN(32, target)), Number(BigInt.asIntN(32, target >> 32n))));
  return true;
}

/** Sets RIP. */
export function goTo(low: number, high: number): string {
  return `r[${R_RIP}]=${low};r[${R_RIP + 1}]=${high};`;
}

/** A condition code over what set the flags last; `k` are the general conditions. */
function conditionText(source: FlagSource | undefined, code: number): string {
  const direct = source === undefined ? undefined : directCondition(source, code & ~1);
  if (direct === undefined) return `k[${code}](r)`;
  return (code & 1) !== 0 ? `!(${direct})` : direct;
}

function directCondition({ operation, wide, id }: FlagSource, code: number): string | undefined {
  const [a, b, v] = [`a${id}`, `b${id}`, `v${id}`];
  const signed = wide ? `${v}H<0` : `${v}<0`;
  const isZero = wide ? `(${v}|${v}H)===0` : `${v}===0`;
  if (code === 4) return isZero;
  if (code === 8) return signed;
  if (operation === "logic") {
    if (code === 0 || code === 2) return "false";
    if (code === 6) return isZero;
    if (code === 12) return signed;
    return code === 14 ? `${isZero}||${signed}` : undefined;
  }
  if (operation === "add") return undefined;
  const unsigned = (or: string) =>
    wide ? `(${a}H===${b}H?${a}>>>0<${or}${b}>>>0:${a}H>>>0<${b}H>>>0)` : `${a}>>>0<${or}${b}>>>0`;
  const ordered = (or: string) =>
    wide ? `(${a}H===${b}H?${a}>>>0<${or}${b}>>>0:${a}H<${b}H)` : `${a}<${or}${b}`;
  switch (code) {
    case 2:
      return unsigned("");
    case 6:
      return unsigned("=");
    case 12:
      return ordered("");
    case 14:
      return ordered("=");
    default:
      return undefined;
  }
}
