/**
 * Xen's public interface for paravirtual guests (Xen documentation: public/xen.h, arch-x86/xen.h, elfnote.h): numbers,
 * and how structures lie in memory of 64-bit and of 32-bit PAE guests.
 */

/** DOMID_SELF. */
export const DOMID_SELF = 0x7ff0;

/** Error numbers as hypercalls answer them, negated. */
export const ERRNO = {
  EPERM: 1,
  ESRCH: 3,
  EFAULT: 14,
  EBUSY: 16,
  EINVAL: 22,
  ENOSYS: 38,
} as const;
export type ErrnoName = keyof typeof ERRNO;

/** Hypercalls by number. */
export const HYPERCALL_NAMES: Readonly<Record<number, string>> = {
  0: "set_trap_table",
  1: "mmu_update",
  2: "set_gdt",
  3: "stack_switch",
  4: "set_callbacks",
  5: "fpu_taskswitch",
  8: "set_debugreg",
  9: "get_debugreg",
  10: "update_descriptor",
  12: "memory_op",
  13: "multicall",
  14: "update_va_mapping",
  15: "set_timer_op",
  17: "xen_version",
  18: "console_io",
  20: "grant_table_op",
  21: "vm_assist",
  23: "iret",
  24: "vcpu_op",
  25: "set_segment_base",
  26: "mmuext_op",
  28: "nmi_op",
  29: "sched_op",
  30: "callback_op",
  32: "event_channel_op",
  33: "physdev_op",
};

export const IRET = 23;
export const HYPERCALL_SLOTS = 128;
export const HYPERCALL_SLOT_BYTES = 32;
/** The vector of 32-bit guests' hypercalls. */
export const HYPERCALL_VECTOR = 0x82;

/** Notes of the owner "Xen" (elfnote.h). */
export const NOTE = {
  ENTRY: 1,
  HYPERCALL_PAGE: 2,
  VIRT_BASE: 3,
  PADDR_OFFSET: 4,
  XEN_VERSION: 5,
  GUEST_OS: 6,
  GUEST_VERSION: 7,
  LOADER: 8,
  PAE_MODE: 9,
  FEATURES: 10,
  HV_START_LOW: 12,
  L1_MFN_VALID: 13,
  INIT_P2M: 15,
  MOD_START_PFN: 16,
  SUPPORTED_FEATURES: 17,
} as const;

/** Feature names by their bits in submap 0 (features.h). */
export const FEATURES: readonly string[] = [
  "writable_page_tables",
  "writable_descriptor_tables",
  "auto_translated_physmap",
  "supervisor_mode_kernel",
  "pae_pgdir_above_4gb",
  "mmu_pt_update_preserve_ad",
  "highmem_assist",
  "gnttab_map_avail_bits",
  "hvm_callback_vector",
  "hvm_safe_pvclock",
  "hvm_pirqs",
  "dom0",
];
/** What this hypervisor offers: mmu_pt_update_preserve_ad. */
export const OFFERED_FEATURES = 1 << 5;
export const FEATURE_DOM0 = 1 << 11;

/** start_info.flags. */
export const SIF_PRIVILEGED = 1;
export const SIF_INITDOMAIN = 2;
export const SIF_MOD_START_PFN = 8;

/** The low bits of `mmu_update`'s ptr; 0 writes an entry with all checks. */
export const MMU_MACHPHYS_UPDATE = 1;
export const MMU_PT_UPDATE_PRESERVE_AD = 2;

/** mmuext_op commands. */
export const MMUEXT = {
  PIN_L1_TABLE: 0,
  PIN_L4_TABLE: 3,
  UNPIN_TABLE: 4,
  NEW_BASEPTR: 5,
  TLB_FLUSH_LOCAL: 6,
  INVLPG_LOCAL: 7,
  TLB_FLUSH_MULTI: 8,
  INVLPG_MULTI: 9,
  TLB_FLUSH_ALL: 10,
  INVLPG_ALL: 11,
  FLUSH_CACHE: 12,
  SET_LDT: 13,
  NEW_USER_BASEPTR: 15,
  CLEAR_PAGE: 16,
  COPY_PAGE: 17,
} as const;
export const MMUEXT_NAMES: readonly (string | undefined)[] = [
  "PIN_L1_TABLE",
  "PIN_L2_TABLE",
  "PIN_L3_TABLE",
  "PIN_L4_TABLE",
  "UNPIN_TABLE",
  "NEW_BASEPTR",
  "TLB_FLUSH_LOCAL",
  "INVLPG_LOCAL",
  "TLB_FLUSH_MULTI",
  "INVLPG_MULTI",
  "TLB_FLUSH_ALL",
  "INVLPG_ALL",
  "FLUSH_CACHE",
  "SET_LDT",
  undefined,
  "NEW_USER_BASEPTR",
  "CLEAR_PAGE",
  "COPY_PAGE",
];

/** The lower half of update_va_mapping's flags. */
export const UVMF_TLB_FLUSH = 1;
export const UVMF_INVLPG = 2;

/** What of a guest's interface depends on its word size. */
export interface GuestAbi {
  readonly bits: 32 | 64;
  /** Bytes of a word, of a frame number and of an entry of the P->M list. */
  readonly word: 4 | 8;
  /** Paging levels, and the level of a root. */
  readonly levels: 3 | 4;
  readonly magic: string;
  /** Flat selectors that the hypervisor's GDT holds: of the kernel, and of user mode. */
  readonly kernelCs: number;
  readonly kernelSs: number;
  /** The privilege level of the guest's kernel. */
  readonly ring: 1 | 3;
  /** The first linear address of the hypervisor, and the first one behind it. */
  readonly hypervisorStart: bigint;
  readonly hypervisorEnd: bigint;
  /** Where the guest finds the M2P table, and the descriptor table's linear address. */
  readonly m2p: bigint;
  readonly gdt: bigint;
  /** Offsets in start_info. */
  readonly startInfo: typeof START_INFO_64;
  /** Bytes of an mmuext_op, and where its arguments lie. */
  readonly mmuext: { readonly size: number; readonly arg1: number; readonly arg2: number };
  /** Bytes of a trap_info, and where its address lies. */
  readonly trapInfo: { readonly size: number; readonly address: number };
  /** Where cr2 is in a vcpu_info. */
  readonly vcpuCr2: number;
}

const START_INFO_64 = {
  nrPages: 32,
  sharedInfo: 40,
  flags: 48,
  ptBase: 88,
  nrPtFrames: 96,
  mfnList: 104,
  modStart: 112,
  modLen: 120,
  cmdLine: 128,
  firstP2mPfn: 1152,
  nrP2mFrames: 1160,
};

export const ABI_64: GuestAbi = {
  bits: 64,
  word: 8,
  levels: 4,
  magic: "xen-3.0-x86_64",
  kernelCs: 0xe033,
  kernelSs: 0xe02b,
  ring: 3,
  hypervisorStart: 0xffff800000000000n,
  hypervisorEnd: 0xffff880000000000n,
  m2p: 0xffff800000000000n,
  gdt: 0xffff820000000000n,
  startInfo: START_INFO_64,
  mmuext: { size: 24, arg1: 8, arg2: 16 },
  trapInfo: { size: 16, address: 8 },
  vcpuCr2: 16,
};

export const ABI_32: GuestAbi = {
  bits: 32,
  word: 4,
  levels: 3,
  magic: "xen-3.0-x86_32p",
  kernelCs: 0xe019,
  kernelSs: 0xe021,
  ring: 1,
  hypervisorStart: 0xf5800000n,
  hypervisorEnd: 0x100000000n,
  m2p: 0xf5800000n,
  gdt: 0xffe00000n,
  startInfo: {
    nrPages: 32,
    sharedInfo: 36,
    flags: 40,
    ptBase: 60,
    nrPtFrames: 64,
    mfnList: 68,
    modStart: 72,
    modLen: 76,
    cmdLine: 80,
    firstP2mPfn: 1104,
    nrP2mFrames: 1108,
  },
  mmuext: { size: 12, arg1: 4, arg2: 8 },
  trapInfo: { size: 8, address: 4 },
  vcpuCr2: 8,
};

/** Selectors from here on are the hypervisor's own. */
export const FIRST_RESERVED_GDT_BYTE = 0xe000;

/** "-EINVAL (22)". */
export function errnoText(name: ErrnoName): string {
  return `-${name} (${ERRNO[name]})`;
}
