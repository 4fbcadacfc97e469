/*
 * The final tables: all RAM at __PAGE_OFFSET, out of init_level4_pgt.
 *
 * Their pages come from the top of free memory, and are reached through the direct map that is still being made by
 * faults. So building the tables that end the early ones makes the early ones grow.
 */
#include "../common/io.h"
#include "../common/memory.h"
#include "../common/print.h"
#include "early_fault.h"

/* Pages below here, and in RAM, may still be free. */
static u64 allocation_top;
static u32 tables_made;
static int use_gbpages;
static u64 supported_pte_mask = ~0ull;

/* A zeroed page of free memory: its physical address. What lies below 1 MiB is left alone. */
static u64 alloc_page(void)
{
	u64 page = find_e820_area_top(0x100000, allocation_top, PAGE_SIZE);

	if (!page) {
		print("out of memory for page tables\n");
		halt();
	}
	allocation_top = page;
	memset(__va(page), 0, PAGE_SIZE);
	tables_made++;
	return page;
}

/* The table that an entry leads to; made where there is none. */
static u64 *next_table(u64 *entry)
{
	if (!(*entry & _PAGE_PRESENT))
		*entry = alloc_page() | _KERNPG_TABLE;
	return __va(*entry & PTE_PFN_MASK);
}

static int fits(u64 physical, u64 end, u64 size)
{
	return !(physical & (size - 1)) && end - physical >= size;
}

/* Maps physical memory with the largest pages that fit; both ends are page aligned. */
static void map_range(u64 physical, u64 end)
{
	while (physical < end) {
		u64 address = (u64)__va(physical);
		u64 *pud = &next_table(&init_level4_pgt[pgd_index(address)])[pud_index(address)];
		u64 *pmd;

		if (use_gbpages && fits(physical, end, PUD_SIZE)) {
			*pud = (physical | __PAGE_KERNEL_LARGE) & supported_pte_mask;
			physical += PUD_SIZE;
			continue;
		}
		pmd = &next_table(pud)[pmd_index(address)];
		if (fits(physical, end, PMD_SIZE)) {
			*pmd = (physical | __PAGE_KERNEL_LARGE) & supported_pte_mask;
			physical += PMD_SIZE;
			continue;
		}
		next_table(pmd)[pte_index(address)] = (physical | __PAGE_KERNEL) & supported_pte_mask;
		physical += PAGE_SIZE;
	}
}

void build_direct_map(void)
{
	u32 a, b, c, d;

	cpuid(CPUID_EXTENDED, &a, &b, &c, &d);
	use_gbpages = boot_settings.gbpages && (d & CPUID_GBPAGES);
	if (!(d & CPUID_NX))
		supported_pte_mask = ~_PAGE_NX;

	allocation_top = MAXMEM;
	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_of(&boot_params.e820_table[i]);

		map_range(ram.start, ram.end);
	}
	print("direct map: %d table pages\n", (u64)tables_made);
}
