/** DWARF's register numbers (x86-64 psABI, figure 3.36; i386 psABI, table 2.14), and the CPU's registers by them. */
import type { Cpu } from "../../machine/cpu/cpu";

/** By DWARF number, the encoding number of the general register. */
const ENCODING_64 = [0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
const ENCODING_32 = [0, 1, 2, 3, 4, 5, 6, 7];

/** Where an architecture's DWARF numbers have what unwinding needs. */
export interface DwarfRegisters {
  readonly encoding: readonly number[];
  readonly instructionPointer: number;
  readonly stackPointer: number;
}

/** The numbering of a file. */
export function dwarfRegisters(addressSize: 4 | 8): DwarfRegisters {
  return addressSize === 8
    ? { encoding: ENCODING_64, instructionPointer: 16, stackPointer: 7 }
    : { encoding: ENCODING_32, instructionPointer: 8, stackPointer: 4 };
}

/** The CPU's general registers and instruction pointer by DWARF number. */
export function registersOf(cpu: Cpu, { encoding, instructionPointer }: DwarfRegisters): Map<number, bigint> {
  const registers = new Map<number, bigint>();
  for (const [number, index] of encoding.entries()) registers.set(number, cpu.getRegister(index));
  registers.set(instructionPointer, cpu.rip);
  return registers;
}
