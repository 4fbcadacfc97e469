/**
 * The register file: one Int32Array, so that every value is an int32 whatever the host's small-integer width, and
 * 8- and 16-bit registers are views of the same bytes. 64-bit values are low, high pairs. The host must be little
 * endian (every host of Node and of browsers is).
 */

/** General register n (encoding order RAX RCX RDX RBX RSP RBP RSI RDI R8..R15) is at 2n (low), 2n + 1 (high). */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

/** RIP. While a block runs it already holds the address behind the block (see `run.ts`). */
export const R_RIP = 32;
/** The lazy flags (see `flags.ts`): kind, result, first and second operand as low, high pairs, explicit RFLAGS. */
export const R_KIND = 34;
export const R_FLAGS = 35;
export const R_RES = 36;
export const R_OP1 = 38;
export const R_OP2 = 40;
/** High half of the last effective address; high half of the last 64-bit value returned. */
export const R_EA_HIGH = 42;
export const R_HIGH = 43;
/** Segment bases, in encoding order ES CS SS DS FS GS, as low, high pairs. */
export const R_SEGMENT_BASE = 44;
/** The code cache's epoch, for the jump cache. */
export const R_EPOCH = 56;
/** Length of the register file in 32-bit words. */
export const REGISTER_WORDS = 64;

export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;

export const REGISTER_NAMES = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
] as const;

export const SEGMENT_NAMES = ["es", "cs", "ss", "ds", "fs", "gs"] as const;

/** RFLAGS (SDM vol. 1, 3.4.3). */
export const CF = 1 << 0;
export const FLAGS_FIXED = 1 << 1;
export const PF = 1 << 2;
export const AF = 1 << 4;
export const ZF = 1 << 6;
export const SF = 1 << 7;
export const TF = 1 << 8;
export const IF = 1 << 9;
export const DF = 1 << 10;
export const OF = 1 << 11;
export const IOPL_SHIFT = 12;
export const IOPL = 3 << IOPL_SHIFT;
export const NT = 1 << 14;
export const RF = 1 << 16;
export const VM = 1 << 17;
export const AC = 1 << 18;
export const VIF = 1 << 19;
export const VIP = 1 << 20;
export const ID = 1 << 21;
/** The six status flags, which the lazy flags stand for. */
export const STATUS_FLAGS = CF | PF | AF | ZF | SF | OF;

/** CR0 (SDM vol. 3A, 2.5). */
export const CR0_PE = 1 << 0;
export const CR0_MP = 1 << 1;
export const CR0_EM = 1 << 2;
export const CR0_TS = 1 << 3;
export const CR0_ET = 1 << 4;
export const CR0_NE = 1 << 5;
export const CR0_WP = 1 << 16;
export const CR0_AM = 1 << 18;
export const CR0_NW = 1 << 29;
export const CR0_CD = 1 << 30;
export const CR0_PG = 1 << 31;

/** CR4 (SDM vol. 3A, 2.5). */
export const CR4_TSD = 1 << 2;
export const CR4_DE = 1 << 3;
export const CR4_PSE = 1 << 4;
export const CR4_PAE = 1 << 5;
export const CR4_MCE = 1 << 6;
export const CR4_PGE = 1 << 7;
export const CR4_PCE = 1 << 8;
export const CR4_OSFXSR = 1 << 9;
export const CR4_OSXMMEXCPT = 1 << 10;
export const CR4_UMIP = 1 << 11;
export const CR4_LA57 = 1 << 12;
export const CR4_FSGSBASE = 1 << 16;
export const CR4_PCIDE = 1 << 17;
export const CR4_OSXSAVE = 1 << 18;
export const CR4_SMEP = 1 << 20;
export const CR4_SMAP = 1 << 21;
export const CR4_PKE = 1 << 22;
export const CR4_PKS = 1 << 24;

/** IA32_EFER (SDM vol. 3A, 2.2.1). */
export const EFER_SCE = 1 << 0;
export const EFER_LME = 1 << 8;
export const EFER_LMA = 1 << 10;
export const EFER_NXE = 1 << 11;
export const EFER_SVME = 1 << 12;
