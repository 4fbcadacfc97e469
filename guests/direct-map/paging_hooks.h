/*
 * Everything that is done to page tables. On bare hardware these are plain stores and instructions; under a hypervisor
 * that owns the tables they are requests to it.
 */
#ifndef PAGING_HOOKS_H
#define PAGING_HOOKS_H

#include "../common/types.h"

struct paging_hooks {
	/* An entry for a page or a table, and the physical address that an entry holds. */
	u64 (*make_entry)(u64 physical, u64 flags);
	u64 (*entry_physical)(u64 entry);

	/* The direct map's entry for a page of 4 KiB; 0 where there is nothing to be mapped. */
	u64 (*make_pte)(u64 physical);

	/* Table pages will come from [start, end); later: of these, [start, end) is left. */
	void (*table_space_found)(u64 start, u64 end);
	void (*table_space_left)(u64 start, u64 end);

	/* A page is about to become a table of `level` (1 to 3): it is filled, and has no writable alias any more. */
	void (*announce_table)(u64 physical, unsigned level);

	/* Makes an entry of a table of `level` (2 to 4) lead to the announced table. */
	void (*link_table)(u64 *entry, u64 physical, unsigned level);

	/* Writes an entry that maps a page, or clears one, in a table of `level`. */
	void (*set_entry)(u64 *entry, u64 value, unsigned level);

	void (*flush_tlb_one)(u64 address);
	/* All entries, global ones too. */
	void (*flush_tlb_all)(void);
};

extern const struct paging_hooks native_paging;

/* The ones in use. */
extern const struct paging_hooks *paging;

#endif
