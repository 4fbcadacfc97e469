/* What the parts of the program share. Read README.md first. */
#ifndef DIRECT_MAP_H
#define DIRECT_MAP_H

#include "../common/types.h"

enum variant {
	NATIVE_GBPAGES,
	NATIVE,
	NATIVE_NOPSE,
	XEN,
};

/* What init_memory_mapping finds in the direct map when it begins, as bits: see existing.c. */
#define EXISTING_PUD 1
#define EXISTING_PMD 2
#define EXISTING_PTE 4

enum defect {
	DEFECT_NONE,
	DEFECT_LARGE_AS_TABLE,	/* a large page that exists is taken for a level-1 table */
	DEFECT_KEEP_ALIAS,	/* a table page is attached while its alias is still there */
	DEFECT_OVERWRITE,	/* entries that exist are rewritten */
	DEFECT_WRITABLE_TABLE,	/* table pages stay writable where memory is mapped */
	DEFECT_DIRECT_WRITE,	/* level-1 tables in use are written, not asked to be */
};

/*
 * What the loader decides for this program: it finds the structure by its name in the image and writes the fields
 * before the first instruction runs.
 */
struct boot_settings {
	u64 page_offset;	/* where the direct map begins: a multiple of 512 GiB */
	u32 variant;
	u32 existing;		/* EXISTING_... */
	u32 table_space_high;	/* whether table pages come from the top of memory */
	u32 defect;
	u32 after_bootmem;	/* whether the upper half of memory is mapped once there is a page allocator */
};

extern struct boot_settings boot_settings;

/* The direct map of this program may lie at another place than usual. */
#define __PAGE_OFFSET (boot_settings.page_offset)
#include "../common/e820.h"
#include "../common/paging.h"

typedef u64 table_t[PTRS_PER_TABLE];

/* head.S, or xen_tables.c: the tables, and how far from where it was linked the kernel lies. */
extern table_t init_level4_pgt, level2_kernel_pgt, level2_fixmap_pgt, level1_fixmap_pgt;
extern u64 phys_base;
extern const u8 _text[], _end[], __bss_start[], __bss_stop[];

/* The physical address of anything in the kernel's image. */
static inline u64 __pa_symbol(const void *symbol)
{
	return (u64)symbol - __START_KERNEL_map + phys_base;
}

/* main.c */
extern int use_pse, use_gbpages;
/* All bits of an entry but those that the CPU does not have: without NX, bit 63 is reserved. */
extern u64 supported_pte_mask;
void probe_cpu(void);
/* Maps all memory; [0, mapped) is in the direct map already. */
void map_memory(u64 mapped);
/* Prints what was mapped, and ends the machine. */
void report_outcome(u64 problems) __attribute__((noreturn));

/* native_start.c, xen_start.c: ends the machine with a status other than 0, after a line that was printed; or with 0. */
void fail(void) __attribute__((noreturn));
void succeed(void) __attribute__((noreturn));

/* init_memory_mapping.c */
extern int after_bootmem;
/* Maps [start, end) of physical memory; gives the end of what is really mapped. Both are page aligned. */
u64 init_memory_mapping(u64 start, u64 end);

/* early_ioremap.c: the slots of the fixmap, one for each level of table and one for looking (only) at any other page. */
#define FIX_ANY 0
#define FIX_TABLE(level) (level)
#define FIX_SLOTS 4
u64 fix_to_virt(unsigned slot);
void *early_ioremap(unsigned slot, u64 physical);
void early_iounmap(unsigned slot);
void early_memcpy(void *to, u64 physical, u64 bytes);

/* early_tables.c: where table pages come from. A level has at most one page that is not attached yet. */
/* Below lie the BIOS's data and whatever a boot loader found handy. */
#define TABLE_SPACE_FROM 0x8000
void find_early_table_space(u64 end);
u64 *alloc_low_page(unsigned level, u64 *physical);
void unmap_low_page(unsigned level);
/* By level: where the page that is not attached yet can be written; NULL where there is none. */
extern u64 *new_tables[FIX_SLOTS];
/* Whether an entry of a level below 4 is one of a table that nothing leads to yet, and that is written like any memory. */
static inline int is_in_new_table(const u64 *entry, unsigned level)
{
	return ((u64)entry & ~(PAGE_SIZE - 1ull)) == (u64)new_tables[level];
}
/* What of the table space was not needed is ordinary memory. */
void release_table_space(void);

/* initial_map.c: the physical memory that was mapped before init_memory_mapping. */
void add_initial_range(u64 start, u64 end, u64 address);
/* The address of physical memory in the initial map; NULL where it is not there. */
void *initial_address(u64 physical);
/* Where a table that is attached can be reached. */
u64 *table_va(u64 physical);
/* The entry that maps an address, and how many bits of the address it leaves alone; NULL where none does. */
const u64 *lookup_address(u64 address, unsigned *shift);

/* native_map.c */
void cleanup_highmap(void);
void map_lowest_memory(void);

/* xen_tables.c */
/* A root of our own, which has the builder's mapping of the kernel. */
void setup_kernel_pagetable(void);
/* Has the direct map begin with the builder's tables, which show the same memory at the kernel's addresses. */
void adopt_builders_tables(void);
/* Has the direct map show the first pages of the table space, where the builder's tables do not. */
void map_first_table_pages(u64 start, u64 end);

/* table_pages.c */
void record_table_page(unsigned level, u64 physical);
void record_alias_dropped(unsigned level);
/* Called when everything that the page needs is done but the link; all below `mapped_below` is mapped. */
void record_attach(unsigned level, u64 mapped_below);
/* How often one of the rules for table pages was broken. */
u64 check_table_pages(void);

/* existing.c */
void make_existing_entries(void);
/* How much of what existed was damaged. */
u64 check_existing_entries(void);

/* meminfo.c: pages of the direct map, by the level of the entry that maps them. */
void update_page_count(unsigned level, u64 pages);
void print_meminfo(void);

/* check.c: the number of pages that are not where they should be. */
u64 check_direct_map(void);

#endif
