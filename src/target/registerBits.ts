/** The named bits of flag and control registers, as data (SDM vol. 1, 3.4.3; vol. 3A, 2.3, 2.5 and 2.2.1). */

export interface RegisterBit {
  readonly name: string;
  /** The lowest bit. */
  readonly bit: number;
  /** How many bits; 1 unless given. */
  readonly width?: number;
  /** What it does when set. */
  readonly meaning: string;
}

export const RFLAGS_BITS: readonly RegisterBit[] = [
  { name: "CF", bit: 0, meaning: "carry" },
  { name: "PF", bit: 2, meaning: "parity" },
  { name: "AF", bit: 4, meaning: "auxiliary carry" },
  { name: "ZF", bit: 6, meaning: "zero" },
  { name: "SF", bit: 7, meaning: "sign" },
  { name: "TF", bit: 8, meaning: "trap: #DB after each instruction" },
  { name: "IF", bit: 9, meaning: "maskable interrupts are taken" },
  { name: "DF", bit: 10, meaning: "string instructions go downwards" },
  { name: "OF", bit: 11, meaning: "overflow" },
  { name: "IOPL", bit: 12, width: 2, meaning: "I/O privilege level" },
  { name: "NT", bit: 14, meaning: "nested task" },
  { name: "RF", bit: 16, meaning: "resume: no instruction breakpoint for one instruction" },
  { name: "VM", bit: 17, meaning: "virtual-8086 mode" },
  { name: "AC", bit: 18, meaning: "alignment check; with CR4.SMAP, supervisor access to user pages" },
  { name: "VIF", bit: 19, meaning: "virtual interrupt flag" },
  { name: "VIP", bit: 20, meaning: "virtual interrupt pending" },
  { name: "ID", bit: 21, meaning: "CPUID can be used where it can be changed" },
];

export const CR0_BITS: readonly RegisterBit[] = [
  { name: "PE", bit: 0, meaning: "protected mode" },
  { name: "MP", bit: 1, meaning: "WAIT looks at TS" },
  { name: "EM", bit: 2, meaning: "no x87" },
  { name: "TS", bit: 3, meaning: "task switched: #NM at the next x87 or SSE instruction" },
  { name: "ET", bit: 4, meaning: "always set" },
  { name: "NE", bit: 5, meaning: "x87 errors as #MF" },
  { name: "WP", bit: 16, meaning: "read-only pages bind supervisor writes too" },
  { name: "AM", bit: 18, meaning: "alignment is checked where AC is set" },
  { name: "NW", bit: 29, meaning: "not write-through" },
  { name: "CD", bit: 30, meaning: "caches are off" },
  { name: "PG", bit: 31, meaning: "paging" },
];

export const CR4_BITS: readonly RegisterBit[] = [
  { name: "VME", bit: 0, meaning: "virtual-8086 mode extensions" },
  { name: "PVI", bit: 1, meaning: "protected-mode virtual interrupts" },
  { name: "TSD", bit: 2, meaning: "RDTSC only at CPL 0" },
  { name: "DE", bit: 3, meaning: "DR4 and DR5 do not exist" },
  { name: "PSE", bit: 4, meaning: "4 MiB pages in 32-bit paging" },
  { name: "PAE", bit: 5, meaning: "entries of 64 bits" },
  { name: "MCE", bit: 6, meaning: "machine checks" },
  { name: "PGE", bit: 7, meaning: "global pages" },
  { name: "PCE", bit: 8, meaning: "RDPMC at any CPL" },
  { name: "OSFXSR", bit: 9, meaning: "SSE can be used" },
  { name: "OSXMMEXCPT", bit: 10, meaning: "SIMD errors as #XM" },
  { name: "UMIP", bit: 11, meaning: "SGDT, SIDT, SLDT, SMSW and STR only at CPL 0" },
  { name: "LA57", bit: 12, meaning: "5-level paging" },
  { name: "VMXE", bit: 13, meaning: "VMX can be used" },
  { name: "SMXE", bit: 14, meaning: "SMX can be used" },
  { name: "FSGSBASE", bit: 16, meaning: "RDFSBASE and its kin can be used" },
  { name: "PCIDE", bit: 17, meaning: "process-context identifiers" },
  { name: "OSXSAVE", bit: 18, meaning: "XSAVE can be used" },
  { name: "SMEP", bit: 20, meaning: "no supervisor execution from user pages" },
  { name: "SMAP", bit: 21, meaning: "no supervisor access to user pages unless AC is set" },
  { name: "PKE", bit: 22, meaning: "protection keys of user pages" },
  { name: "CET", bit: 23, meaning: "control-flow enforcement" },
  { name: "PKS", bit: 24, meaning: "protection keys of supervisor pages" },
];

export const EFER_BITS: readonly RegisterBit[] = [
  { name: "SCE", bit: 0, meaning: "SYSCALL can be used" },
  { name: "LME", bit: 8, meaning: "paging turns on IA-32e mode" },
  { name: "LMA", bit: 10, meaning: "IA-32e mode is on" },
  { name: "NXE", bit: 11, meaning: "entries have the XD bit" },
];

/** The bits that are set, by name, wider fields with their value: "PE ET WP PG", "IF IOPL=3". */
export function namesOfBits(value: bigint, bits: readonly RegisterBit[]): string {
  return bits
    .flatMap(({ name, bit, width = 1 }) => {
      const field = fieldOf(value, bit, width);
      if (field === 0n) return [];
      return [width === 1 ? name : `${name}=${field}`];
    })
    .join(" ");
}

/** The value of a field. */
export function fieldOf(value: bigint, bit: number, width = 1): bigint {
  return (value >> BigInt(bit)) & ((1n << BigInt(width)) - 1n);
}
