/** The CPU's features, once, as data: where CPUID tells of them, and what they mean (SDM vol. 2, CPUID). */

/** Registers of a CPUID answer, as indexes into EAX EBX ECX EDX. */
export const EBX = 1;
export const ECX = 2;
export const EDX = 3;

export interface Feature {
  /** As the command line names it. */
  readonly name: string;
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: number;
  readonly bit: number;
  readonly meaning: string;
  /**
   * Whether this machine does what the bit promises. Where not, the bit only answers CPUID (and opens the bits of
   * control registers that go with it); an instruction that needs it stops the machine as unimplemented.
   */
  readonly implemented: boolean;
}

function feature<N extends string>(
  name: N,
  leaf: number,
  register: number,
  bit: number,
  meaning: string,
  implemented = true,
): Feature & { readonly name: N } {
  return { name, leaf, subleaf: 0, register, bit, meaning, implemented };
}

function unimplemented<N extends string>(
  name: N,
  leaf: number,
  register: number,
  bit: number,
  meaning: string,
): Feature & { readonly name: N } {
  return feature(name, leaf, register, bit, meaning, false);
}

/** Unimplemented x87, MMX and SSE are there because 64-bit kernels refuse a CPU that does not have their bits. */
export const FEATURES = [
  unimplemented("fpu", 1, EDX, 0, "x87; its state is kept, arithmetic is missing"),
  feature("de", 1, EDX, 2, "debugging extensions, CR4.DE"),
  feature("pse", 1, EDX, 3, "4 MiB pages, CR4.PSE"),
  feature("tsc", 1, EDX, 4, "time-stamp counter"),
  feature("msr", 1, EDX, 5, "RDMSR and WRMSR"),
  feature("pae", 1, EDX, 6, "physical address extension, CR4.PAE"),
  feature("mce", 1, EDX, 7, "machine-check exception"),
  feature("cx8", 1, EDX, 8, "CMPXCHG8B"),
  feature("apic", 1, EDX, 9, "local APIC"),
  unimplemented("sep", 1, EDX, 11, "SYSENTER and SYSEXIT"),
  feature("mtrr", 1, EDX, 12, "memory-type range registers"),
  feature("pge", 1, EDX, 13, "global pages, CR4.PGE"),
  feature("mca", 1, EDX, 14, "machine-check architecture"),
  feature("cmov", 1, EDX, 15, "conditional moves"),
  feature("pat", 1, EDX, 16, "page attribute table"),
  feature("pse36", 1, EDX, 17, "4 MiB pages above 4 GiB"),
  feature("clflush", 1, EDX, 19, "CLFLUSH"),
  unimplemented("mmx", 1, EDX, 23, "MMX"),
  feature("fxsr", 1, EDX, 24, "FXSAVE, CR4.OSFXSR"),
  unimplemented("sse", 1, EDX, 25, "SSE"),
  unimplemented("sse2", 1, EDX, 26, "SSE2"),
  unimplemented("sse3", 1, ECX, 0, "SSE3"),
  unimplemented("ssse3", 1, ECX, 9, "SSSE3"),
  feature("cx16", 1, ECX, 13, "CMPXCHG16B"),
  feature("pcid", 1, ECX, 17, "process-context identifiers, CR4.PCIDE"),
  unimplemented("sse41", 1, ECX, 19, "SSE4.1"),
  unimplemented("sse42", 1, ECX, 20, "SSE4.2; of it, CRC32 is implemented"),
  feature("movbe", 1, ECX, 22, "MOVBE"),
  feature("popcnt", 1, ECX, 23, "POPCNT"),
  unimplemented("xsave", 1, ECX, 26, "XSAVE, CR4.OSXSAVE"),
  feature("hypervisor", 1, ECX, 31, "running on a hypervisor"),
  feature("fsgsbase", 7, EBX, 0, "RDFSBASE and its like, CR4.FSGSBASE"),
  feature("bmi1", 7, EBX, 3, "bit manipulation 1"),
  feature("smep", 7, EBX, 7, "supervisor-mode execution prevention"),
  feature("bmi2", 7, EBX, 8, "bit manipulation 2"),
  feature("erms", 7, EBX, 9, "enhanced REP MOVSB and STOSB"),
  feature("invpcid", 7, EBX, 10, "INVPCID"),
  feature("adx", 7, EBX, 19, "ADCX and ADOX"),
  feature("smap", 7, EBX, 20, "supervisor-mode access prevention"),
  feature("clflushopt", 7, EBX, 23, "CLFLUSHOPT"),
  feature("clwb", 7, EBX, 24, "CLWB"),
  feature("umip", 7, ECX, 2, "user-mode instruction prevention"),
  feature("pku", 7, ECX, 3, "protection keys for user pages, CR4.PKE"),
  feature("la57", 7, ECX, 16, "57-bit linear addresses, 5-level paging"),
  feature("pks", 7, ECX, 31, "protection keys for supervisor pages, CR4.PKS"),
  unimplemented("svm", 0x80000001, ECX, 2, "secure virtual machine"),
  feature("lahf_lm", 0x80000001, ECX, 0, "LAHF and SAHF in 64-bit mode"),
  feature("abm", 0x80000001, ECX, 5, "LZCNT"),
  feature("syscall", 0x80000001, EDX, 11, "SYSCALL and SYSRET"),
  feature("nx", 0x80000001, EDX, 20, "execute-disable, EFER.NXE"),
  feature("pdpe1gb", 0x80000001, EDX, 26, "1 GiB pages"),
  feature("rdtscp", 0x80000001, EDX, 27, "RDTSCP"),
  feature("lm", 0x80000001, EDX, 29, "64-bit mode"),
] as const;

export type FeatureName = (typeof FEATURES)[number]["name"];

/** What cannot be without what. */
export const FEATURE_NEEDS: readonly (readonly [FeatureName, FeatureName])[] = [
  ["lm", "pae"],
  ["nx", "pae"],
  ["la57", "lm"],
  ["pdpe1gb", "lm"],
  ["pcid", "lm"],
  ["pku", "lm"],
  ["pks", "lm"],
  ["syscall", "lm"],
  ["pse36", "pse"],
];
