/* Xen's interface for paravirtual guests: what the boot programs need of it. */
#ifndef XEN_H
#define XEN_H

#include "types.h"

#define DOMID_SELF 0x7ff0

/* A word of the guest: frame numbers, addresses, results. */
typedef unsigned long xen_word;

struct start_info {
	char magic[32];
	xen_word nr_pages;
	xen_word shared_info;	/* machine address */
	u32 flags;
	xen_word store_mfn;
	u32 store_evtchn;
	struct {
		xen_word mfn;
		u32 evtchn;
	} console;
	xen_word pt_base;	/* virtual address of the builder's root */
	xen_word nr_pt_frames;
	xen_word mfn_list;	/* virtual address of the P->M list */
	xen_word mod_start, mod_len;
	char cmd_line[1024];
	xen_word first_p2m_pfn, nr_p2m_frames;	/* where the list lies outside of the initial mapping */
};

/* set_trap_table */
struct trap_info {
	u8 vector, flags;
	u16 cs;
	xen_word address;
};

/* mmu_update: the low bits of ptr say what is written. */
#define MMU_NORMAL_PT_UPDATE 0
#define MMU_MACHPHYS_UPDATE 1

struct mmu_update {
	u64 ptr, val;	/* machine address of an entry */
};

/* update_va_mapping */
#define UVMF_TLB_FLUSH 1
#define UVMF_INVLPG 2

/* mmuext_op */
#define MMUEXT_PIN_L1_TABLE 0
#define MMUEXT_PIN_L2_TABLE 1
#define MMUEXT_PIN_L3_TABLE 2
#define MMUEXT_PIN_L4_TABLE 3
#define MMUEXT_UNPIN_TABLE 4
#define MMUEXT_NEW_BASEPTR 5
#define MMUEXT_TLB_FLUSH_LOCAL 6
#define MMUEXT_INVLPG_LOCAL 7

struct mmuext_op {
	u32 cmd;
	xen_word arg1, arg2;
};

/* memory_op */
#define XENMEM_memory_map 9
#define XENMEM_machphys_mapping 12

struct xen_memory_map {
	u32 nr_entries;
	void *buffer;
};

struct xen_machphys_mapping {
	xen_word v_start, v_end, max_mfn;
};

/* sched_op */
#define SCHEDOP_shutdown 2
#define SHUTDOWN_poweroff 0
#define SHUTDOWN_crash 3

/* Hypercalls by number; each is a slot of 32 bytes in the hypercall page. */
#define HYPERCALL_set_trap_table 0
#define HYPERCALL_mmu_update 1
#define HYPERCALL_memory_op 12
#define HYPERCALL_update_va_mapping 14
#define HYPERCALL_console_io 18
#define HYPERCALL_iret 23
#define HYPERCALL_mmuext_op 26
#define HYPERCALL_sched_op 29

/* Up to four arguments; negative results are error numbers. */
long hypercall(unsigned number, xen_word a, xen_word b, xen_word c, xen_word d);

/* xen_console.c: ends the machine; 0 says that all went well. */
void __attribute__((noreturn)) shut_down(u32 reason);

#endif
