/** The CPU state that both machines are compared by, under the names of GDB's target description. */
import type { Cpu } from "../../../src/machine/cpu/cpu";
import { findRegister, readRegister } from "../../../src/target/registers";

export type State = Readonly<Record<string, bigint>>;

export const GENERAL = [
  ...["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"],
  ...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"],
] as const;
const COMPARED = [
  ...["rip", "eflags", ...GENERAL],
  ...["cs", "ss", "ds", "es", "fs", "gs", "fs_base", "gs_base", "k_gs_base"],
  ...["cr0", "cr2", "cr3", "cr4", "efer"],
] as const;

/** What has another name here. */
const OUR_NAMES: Readonly<Record<string, string>> = { eflags: "rflags", k_gs_base: "ia32_kernel_gs_base" };
const READERS = COMPARED.map((name) => [name, findRegister(OUR_NAMES[name] ?? name)!] as const);

export function stateOf(cpu: Cpu): State {
  const state: Record<string, bigint> = {};
  for (const [name, register] of READERS) state[name] = readRegister(cpu, register) ?? 0n;
  return state;
}

/** The status flags, which instructions may leave undefined. */
export const STATUS_FLAGS = 0x8d5n;

export interface Difference {
  readonly register: string;
  readonly ours: bigint;
  readonly theirs: bigint;
}

/**
 * Registers that are not the same.
 * @param code64 whether the code is 64-bit code: the stub shows 32 bits of eight registers otherwise
 * @param undefinedFlags bits of RFLAGS that may be anything
 */
export function differences(
  ours: State,
  theirs: State,
  code64: boolean,
  undefinedFlags: bigint,
): Difference[] {
  const found: Difference[] = [];
  COMPARED.forEach((register, index) => {
    let [mine, other] = [ours[register], theirs[register]];
    if (mine === other) return;
    const general = index - 2;
    if (!code64 && general >= 0 && general < GENERAL.length) {
      if (general >= 8) return;
      mine &= 0xffffffffn;
      other &= 0xffffffffn;
    }
    if (register === "eflags") {
      mine &= ~undefinedFlags;
      other &= ~undefinedFlags;
    }
    if (mine !== other) found.push({ register, ours: ours[register], theirs: theirs[register] });
  });
  return found;
}

/** Registers that can be taken over from the other machine without more than their values changing. */
const ADOPTABLE = new Set<string>([...GENERAL, "rip", "eflags", "cr2"]);

/** Makes what differs equal. @returns false where that is not possible */
export function adopt(cpu: Cpu, found: readonly Difference[]): boolean {
  if (!found.every(({ register }) => ADOPTABLE.has(register))) return false;
  for (const { register, theirs } of found)
    findRegister(OUR_NAMES[register] ?? register)!.write!(cpu, theirs);
  return true;
}
