/*
 * The early tables: filled by page faults from a fixed pool, thrown away when the pool is used up.
 *
 * Invariants: entry 511 of early_level4_pgt, the kernel map, is never touched here; every other entry is either empty
 * or leads into the pool; pool pages below next_early_pgt are in use.
 */
#include "../common/memory.h"
#include "early_fault.h"

/* The first two pages are the identity map that head.S made. */
static u32 next_early_pgt = 2;

/* In data, not in BSS: the first reset comes before BSS is cleared. */
u32 early_pgt_resets __attribute__((section(".data"))) = 0;
u32 early_pgt_faults __attribute__((section(".data"))) = 0;

/*
 * Between a pool page and its physical address. The pool is part of the kernel's image, and the kernel map reaches
 * all of that, so no conversion here can fault.
 */
#ifdef PROTOTYPE
/* Right only for a kernel that runs where it was linked. */
static u64 table_physical(const void *table)
{
	return (u64)table - __START_KERNEL_map;
}

static u64 *table_at(u64 entry)
{
	return (u64 *)((entry & PTE_PFN_MASK) + __START_KERNEL_map);
}
#else
static u64 table_physical(const void *table)
{
	return (u64)table - __START_KERNEL_map + phys_base;
}

static u64 *table_at(u64 entry)
{
	return (u64 *)((entry & PTE_PFN_MASK) + __START_KERNEL_map - phys_base);
}
#endif

/* The physical address of anything in the kernel's image. */
u64 __pa_symbol(const void *symbol)
{
	return (u64)symbol - __START_KERNEL_map + phys_base;
}

/* Forgets every dynamic mapping. What is touched again faults again. */
void reset_early_page_tables(void)
{
	for (unsigned i = 0; i < PTRS_PER_TABLE - 1; i++)
		early_level4_pgt[i] = 0;
	next_early_pgt = 0;
	early_pgt_resets++;
#ifdef PROTOTYPE
	write_cr3(read_cr3());
#else
	write_cr3(__pa_symbol(early_level4_pgt));
#endif
}

static u64 *take_page(void)
{
	return early_dynamic_pgts[next_early_pgt++];
}

/*
 * Maps the GiB around an address of the direct map that is not mapped. Called by the page-fault path with CR2.
 * Returns 0 where the access may be tried again, -1 where it is none of ours.
 */
int early_make_pgtable(u64 address)
{
	u64 physaddr = address - __PAGE_OFFSET;
	u64 *pgd = &early_level4_pgt[pgd_index(address)];
	u64 *pud_table, *pmd_table;

	if (physaddr >= MAXMEM)
		return -1;
#ifndef PROTOTYPE
	/* After the switchover nobody looks at these tables any more: filling them would make the access fault for ever. */
	if ((read_cr3() & PTE_PFN_MASK) != __pa_symbol(early_level4_pgt))
		return -1;
#endif
	early_pgt_faults++;

	/*
	 * The level-3 table is reached through the kernel map. Through the direct map this very access could fault,
	 * and its handler too, without end.
	 */
	if (*pgd && next_early_pgt < boot_settings.pool) {
		pud_table = table_at(*pgd);
	} else {
		/* Two pages are needed. */
		if (next_early_pgt >= boot_settings.pool - 1)
			reset_early_page_tables();
		pud_table = take_page();
		memset(pud_table, 0, PAGE_SIZE);
		*pgd = table_physical(pud_table) | _KERNPG_TABLE;
	}

	pmd_table = take_page();
	for (unsigned i = 0; i < PTRS_PER_TABLE; i++)
		pmd_table[i] = ((physaddr & ~(PUD_SIZE - 1)) + i * PMD_SIZE) |
			       (__PAGE_KERNEL_LARGE & ~_PAGE_GLOBAL);
	pud_table[pud_index(address)] = table_physical(pmd_table) | _KERNPG_TABLE;
	return 0;
}
