/* The memory map that the loader handed over, and what of it is in use. */
#ifndef E820_H
#define E820_H

#include "boot_params.h"

struct range {
	u64 start, end;
};

/* The program's copy of what the loader handed over. */
extern struct boot_params boot_params;

/* The whole pages of RAM of an e820 entry that the direct map can reach; empty where there are none. */
struct range ram_of(const struct e820_entry *entry);

/* Where the last page of RAM ends. */
u64 e820_end_of_ram(void);

/* Whether there is a page of RAM in [start, end). */
int e820_any_ram(u64 start, u64 end);

/* Keeps a range from being found by the functions below. */
void reserve_memory(u64 start, u64 end);

/*
 * The lowest, or the highest, page-aligned place for `size` bytes of RAM within [from, below) that nobody has reserved;
 * 0 where there is none.
 */
u64 find_e820_area(u64 from, u64 below, u64 size);
u64 find_e820_area_top(u64 from, u64 below, u64 size);

#endif
