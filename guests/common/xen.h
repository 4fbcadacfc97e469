/* Xen's interface for paravirtual guests: what the boot programs need of it. */
#ifndef XEN_H
#define XEN_H

#include "paging.h"
#include "print.h"
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

/* xen_entry.S: up to four arguments; negative results are error numbers. */
long hypercall(unsigned number, xen_word a, xen_word b, xen_word c, xen_word d);
/* The handlers of exceptions, by vector: 0 where there is none. Each calls report_trap. */
extern const xen_word trap_entries[32];
/* The ends of the image. */
extern const u8 _text[], _etext[], _end[];

/* Where each program begins: on a stack of its own, BSS cleared. */
void __attribute__((noreturn)) xen_start_kernel(const struct start_info *builders);

/* xen_console.c: ends the machine; 0 says that all went well. */
void __attribute__((noreturn)) shut_down(u32 reason);

/* Ends the machine with a sentence. */
#define FAIL(...)                                                                                                      \
	do {                                                                                                           \
		print("FAILED: " __VA_ARGS__);                                                                         \
		shut_down(SHUTDOWN_crash);                                                                             \
	} while (0)

/* xen_requests.c: each stops with a sentence where the hypervisor refuses. */
void update_entries(const struct mmu_update *updates, u64 count);
void update_entry(u64 machine_address, u64 value);
void update_va(const void *address, u64 value, unsigned flags);
void mmuext(unsigned command, u64 arg);
void set_traps(void);

/* xen_domain.c: what the builder has told, kept from before its page is given back. */
extern struct start_info start_info;
/* Keeps what the builder has told, has exceptions reported, and finds the tables of frame numbers. */
void domain_init(const struct start_info *builders);
/* Machine frames by the domain's; each program says for itself where it keeps them. */
#define INVALID_MFN (~0ull)
u64 pfn_to_mfn(u64 pfn);
/* And the other way around, as the hypervisor keeps them. */
extern const u64 *machine_to_phys;
static inline u64 mfn_to_pfn(u64 mfn)
{
	return machine_to_phys[mfn];
}
/* The domain's memory as e820 entries; gives their number. */
struct e820_entry;
unsigned read_memory_map(struct e820_entry *map, unsigned most);
/* Whether the P->M list lies outside of the initial mapping. */
int p2m_is_outside(void);
/* The first frame behind all that the builder has put into the initial mapping, and behind that mapping. */
u64 builders_end(void);
u64 initial_mapping_end(void);

/* The physical address (as the domain counts it) of what the builder has mapped at the kernel's addresses. */
static inline u64 __pa(const void *address)
{
	return (u64)address - __START_KERNEL_map;
}

/* Xen maps a page of the guest's kernel for user mode: the kernel runs there. */
#define PAGE_RO 0x8000000000000061ull
#define PAGE_RW 0x8000000000000063ull

/* An entry for a frame of the domain. */
static inline u64 entry_for(u64 pfn, u64 flags)
{
	return pfn_to_mfn(pfn) << 12 | flags;
}

/* xen_root.c: a root of the program's own in place of the builder's. */
/* The entry of the builder's root for a slot; and the table that an entry leads to, in the initial mapping. */
u64 builders_root_entry(unsigned slot);
const u64 *initial_table(u64 entry);
/* Makes a static table read-only, in the builder's mapping: before it is used as a table. */
void protect_static_table(const void *table);
/* Gives a root, and a level-3 table below it, the builder's mapping of the kernel. */
void graft_kernel_mapping(u64 *root, u64 *level3);
/* Pins a root that is protected, has the CPU use it, and gives the builder's up. */
void use_root(const u64 *root);

#endif
