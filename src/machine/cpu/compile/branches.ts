/** JMP Jcc CALL RET, near, in 64-bit mode: the last instruction of a block. */
import { Mnemonic, OpKind } from "iced-x86";
import { isMemory, isRegister, nextAddress, registerNumber, type Site } from "../operands";
import { JCC_MNEMONICS } from "../ops/conditions";
import { RSP } from "../registers";
import { type Emitter, isPlainOperand } from "./emitter";
import { ADDRESS, V, X } from "./locals";
import { pushX } from "./moves";

const CONDITION_CODES = new Map(JCC_MNEMONICS.map((mnemonic, code) => [mnemonic, code]));

/** How a region goes on, within itself or by leaving. */
export interface Ways {
  goTo(rip: bigint): void;
  /** Goes to a function that was called: it returns to an address. */
  call(rip: bigint, returnsTo: bigint): void;
  /** Where a return most likely leads to, if that is known, and how it goes on there. */
  readonly returnsTo: bigint | undefined;
  goBack(): void;
}

/** Where an instruction that ends a block may lead, as far as that is fixed; undefined for other instructions. */
export function directTargets(site: Site): bigint[] | undefined {
  const { instruction } = site;
  const { mnemonic } = instruction;
  const direct = instruction.op0Kind === OpKind.NearBranch64;
  const next = nextAddress(site);
  if (direct && instruction.nearBranchTarget === instruction.ip && mnemonic === Mnemonic.Jmp)
    return undefined;
  if (mnemonic === Mnemonic.Jmp) return direct ? [instruction.nearBranchTarget] : [];
  // What is behind a call is where its return leads.
  if (mnemonic === Mnemonic.Call) return direct ? [instruction.nearBranchTarget, next] : [next];
  if (mnemonic === Mnemonic.Ret) return [];
  return CONDITION_CODES.has(mnemonic) && direct ? [instruction.nearBranchTarget, next] : undefined;
}

/** Emits the end of a block. False where the instruction is none of these, or there is no code for it. */
export function emitBranch(e: Emitter, site: Site, ways: Ways): boolean {
  const { instruction } = site;
  if (site.bitness !== 64) return false;
  const condition = CONDITION_CODES.get(instruction.mnemonic);
  const next = nextAddress(site);
  if (condition !== undefined) {
    if (instruction.op0Kind !== OpKind.NearBranch64) return false;
    e.condition(condition);
    e.code.if();
    e.aside(() => ways.goTo(instruction.nearBranchTarget));
    e.code.op("end");
    ways.goTo(next);
    return true;
  }
  switch (instruction.mnemonic) {
    case Mnemonic.Jmp:
      return emitJump(e, site, ways);
    case Mnemonic.Call:
      return emitCall(e, site, next, ways);
    case Mnemonic.Ret:
      return emitReturn(e, site, ways);
    default:
      return false;
  }
}

function emitJump(e: Emitter, site: Site, ways: Ways): boolean {
  const { instruction } = site;
  if (instruction.op0Kind === OpKind.NearBranch64) {
    const target = instruction.nearBranchTarget;
    // A jump to itself is an event, which the closure makes.
    if (target === instruction.ip) return false;
    ways.goTo(target);
    return true;
  }
  return readTarget(e, site, () => e.leaveToLocal(V, () => {}));
}

/** Has an indirect target in V, and emits what is to be done with it. */
function readTarget(e: Emitter, site: Site, then: () => void): boolean {
  const { instruction } = site;
  if (isRegister(instruction, 0)) {
    if (!isPlainOperand(site, 0) || instruction.op0Kind !== OpKind.Register) return false;
    e.register(registerNumber(instruction.op0Register));
    e.code.set(V);
    then();
    return true;
  }
  if (!isMemory(instruction, 0) || instruction.isJmpFarIndirect || instruction.isCallFarIndirect)
    return false;
  if (!e.address(site)) return false;
  e.access(false, 8, { leaves: true }, () => {
    e.host(false);
    e.load(8);
    e.code.set(V);
  });
  then();
  return true;
}

function emitCall(e: Emitter, site: Site, next: bigint, ways: Ways): boolean {
  const { instruction } = site;
  if (instruction.op0Kind === OpKind.NearBranch64) {
    e.code.i64(next).set(X);
    pushX(e, { registers: [RSP], leaves: true });
    ways.call(instruction.nearBranchTarget, next);
    return true;
  }
  return readTarget(e, site, () => {
    e.code.i64(next).set(X);
    e.leaveToLocal(V, () => pushX(e, { registers: [RSP], leaves: true }));
  });
}

function emitReturn(e: Emitter, { instruction }: Site, ways: Ways): boolean {
  if (instruction.opCount > 0 || instruction.stackPointerIncrement !== 8) return false;
  const { code } = e;
  e.register(RSP);
  code.set(ADDRESS);
  e.access(false, 8, { leaves: true }, () => {
    e.host(false);
    e.load(8);
    code.set(V);
  });
  if (ways.returnsTo !== undefined) {
    code.get(V).i64(ways.returnsTo).op("i64_eq").if();
    e.aside(() => {
      popReturnAddress(e);
      ways.goBack();
    });
    code.op("end");
  }
  e.leaveToLocal(V, () => popReturnAddress(e));
  return true;
}

function popReturnAddress(e: Emitter): void {
  e.code.get(ADDRESS).i64(8).op("i64_add");
  e.setRegister(RSP);
}
