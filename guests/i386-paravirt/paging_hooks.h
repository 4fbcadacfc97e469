/*
 * What building the kernel's page tables needs of the machine below. A variant of the program fills the table: native
 * code writes entries and registers itself, a guest of a hypervisor asks for it.
 */
#ifndef PAGING_HOOKS_H
#define PAGING_HOOKS_H

#include "pgtable.h"

struct paging_hooks {
	/* Around the building: what the root is to hold beforehand, and what is still missing at the end. */
	void (*pagetable_setup_start)(pgd_t *base);
	void (*pagetable_setup_done)(pgd_t *base);
	/* A zeroed page is about to be linked: as a page table, or as a page directory. */
	void (*alloc_pt)(u32 pfn);
	void (*alloc_pd)(u32 pfn);
	/* The only ways in which an entry is written. */
	void (*set_pte)(pte_t *entry, pte_t value);
	void (*set_pmd)(pmd_t *entry, pmd_t value);
	void (*set_pgd)(pgd_t *entry, pgd_t value);
	/* Makes a table the root: its physical address. */
	void (*load_root)(u32 physical);
	void (*set_in_cr4)(u32 bits);
	void (*set_in_efer)(u32 bits);
	/* Global translations too. */
	void (*flush_tlb_all)(void);
};

/* The hooks of this boot, filled before anything else happens. */
extern struct paging_hooks paging_hooks;

/* native.c, xen.c */
extern const struct paging_hooks native_paging_hooks, xen_paging_hooks;

#endif
