/* What 64-bit Xen guests share: the entry, requests that must succeed, and the way to a root of their own. */
#ifndef XEN64_H
#define XEN64_H

#include "paging.h"
#include "print.h"
#include "xen.h"

/* xen_entry.S: the handlers of exceptions, by vector: 0 where there is none. Each calls report_trap. */
extern const xen_word trap_entries[32];
/* The ends of the image. */
extern const u8 _text[], _etext[], _end[];

/* Where each program begins: on a stack of its own, BSS cleared. */
void __attribute__((noreturn)) xen_start_kernel(const struct start_info *builders);

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
