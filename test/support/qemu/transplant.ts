/**
 * A boot of ours in the form in which QEMU can begin it: the contents of memory as an ELF file for QEMU's generic loader,
 * the start state as a system ROM whose reset vector leads into it. No firmware runs, so that both machines begin with
 * the same memory and registers.
 */
import type { Boot } from "../../../src/boot/boot";
import { REGISTER_NAMES } from "../../../src/machine/cpu/registers";
import { PAGE_SIZE, PhysicalMemory } from "../../../src/machine/memory";
import type { SegmentName, SegmentState, StartState } from "../../../src/machine/startState";
import { writeElf } from "../elfWriter";

/** QEMU maps a system ROM below 4 GiB, where the reset vector is, and again below 1 MiB. */
const ROM_BYTES = 0x10000;
const LOW_ROM = 0xf0000;
const RESET_VECTOR = 0xfff0;
const CODE = 0;
const GDT_POINTER = 0x800;
const IDT_POINTER = 0x810;
const MSR_EFER = 0xc0000080;
const EFER_LMA = 1 << 10;

/** Memory that knows which pages were written. */
class WrittenMemory extends PhysicalMemory {
  readonly pages = new Set<number>();

  override writeBytes(address: number, bytes: Uint8Array): void {
    super.writeBytes(address, bytes);
    for (let at = address - (address % PAGE_SIZE); at < address + bytes.length; at += PAGE_SIZE)
      this.pages.add(at);
  }
}

/** What a boot puts into memory, as an ELF file with a segment for each run of pages at its physical address. */
export function memoryImage(boot: Boot): Uint8Array {
  const memory = new WrittenMemory(boot.ram);
  boot.apply(memory);
  const segments = pageRuns(memory.pages).map(({ start, length }) => ({
    virtualAddress: BigInt(start),
    bytes: memory.readBytes(start, length),
  }));
  return writeElf({ segments });
}

/** Pages that follow each other, joined, by address. @param pages addresses, in any order */
export function pageRuns(pages: Iterable<number>): { start: number; length: number }[] {
  const runs: { start: number; length: number }[] = [];
  for (const page of [...new Set(pages)].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.length === page) last.length += PAGE_SIZE;
    else runs.push({ start: page, length: PAGE_SIZE });
  }
  return runs;
}

/**
 * A ROM of 64 KiB that goes from reset to a start state, by one MOV to CR0 from real mode into long mode, and jumps to its entry.
 * @param start in 64-bit mode, with tables that map the 2 MiB at address 0 to themselves; TR, LDTR and RFLAGS as after
 *   reset
 * @throws RangeError where the start state is another one
 */
export function startRom(start: StartState): Uint8Array {
  const { tr, ldtr, rflags, gdtr, idtr, registers = {} } = start;
  if ((start.efer & EFER_LMA) === 0 || tr !== undefined || ldtr !== undefined || (rflags ?? 2) !== 2)
    throw new RangeError("the ROM leads into 64-bit mode with the TR, LDTR and RFLAGS of reset only");
  const rom = Buffer.alloc(ROM_BYTES);
  pointer(rom, GDT_POINTER, gdtr);
  pointer(rom, IDT_POINTER, idtr);
  const { cs, ...data } = start.segments;
  const code = [
    // Real mode: 0x66 for operands of 32 bits, 0x2E for the ROM's own segment.
    [0xfa], // cli
    [0x66, 0x2e, 0x0f, 0x01, 0x16, ...u16(GDT_POINTER)], // lgdt cs:[GDT_POINTER]
    [0x66, 0xb8, ...u32(start.cr4), 0x0f, 0x22, 0xe0], // mov eax, imm; mov cr4, eax
    [0x66, 0xb8, ...u32(Number(start.cr3)), 0x0f, 0x22, 0xd8], // mov eax, imm; mov cr3, eax
    [0x66, 0xb9, ...u32(MSR_EFER), 0x66, 0xba, ...u32(0)], // mov ecx, imm; mov edx, 0
    [0x66, 0xb8, ...u32(start.efer & ~EFER_LMA), 0x0f, 0x30], // mov eax, imm; wrmsr
    [0x66, 0xb8, ...u32(start.cr0), 0x0f, 0x22, 0xc0], // mov eax, imm; mov cr0, eax
  ].flat();
  const long = LOW_ROM + CODE + code.length + 8;
  code.push(0x66, 0xea, ...u32(long), ...u16(cs.selector)); // jmp far
  code.push(0x0f, 0x01, 0x1c, 0x25, ...u32(LOW_ROM + IDT_POINTER)); // lidt [IDT_POINTER]
  for (const name of Object.keys(data) as Exclude<SegmentName, "cs">[]) code.push(...load(name, data[name]));
  REGISTER_NAMES.forEach((name, number) => {
    code.push(0x48 | (number >> 3), 0xb8 | (number & 7), ...u64(registers[name] ?? 0n)); // mov reg, imm64
  });
  code.push(0xff, 0x25, ...u32(0), ...u64(start.rip)); // jmp [rip+0]
  rom.set(code, CODE);
  rom.set([0xea, ...u16(CODE), ...u16(LOW_ROM >> 4)], RESET_VECTOR); // jmp far f000:CODE
  return rom;
}

/** The ModRM byte of MOV to the segment register from EAX. */
const MOV_TO_SEGMENT = { es: 0xc0, ss: 0xd0, ds: 0xd8, fs: 0xe0, gs: 0xe8 } as const;

/** mov eax, selector; mov sreg, eax. */
function load(name: Exclude<SegmentName, "cs">, { selector }: SegmentState): number[] {
  return [0xb8, ...u32(selector), 0x8e, MOV_TO_SEGMENT[name]];
}

/** The memory operand of LGDT and LIDT. */
function pointer(rom: Buffer, offset: number, table: { base: bigint; limit: number } | undefined): void {
  rom.writeUInt16LE(table?.limit ?? 0, offset);
  rom.writeBigUInt64LE(table?.base ?? 0n, offset + 2);
}

const u16 = (value: number) => [value & 0xff, value >> 8];
const u32 = (value: number) => [...u16(value & 0xffff), ...u16(value >>> 16)];
const u64 = (value: bigint) => [
  ...u32(Number(value & 0xffffffffn)),
  ...u32(Number(BigInt.asUintN(64, value) >> 32n)),
];
