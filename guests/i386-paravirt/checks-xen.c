/* What a guest of Xen promises besides: the builder's tables are kept, and no table can be written. */
#include "checks.h"
#include "xen_guest.h"

u32 kept_tables(void)
{
	return builders_page_tables();
}

/* The boot allocator gives pages for tables alone, one after the other. */
static int is_table(u32 physical)
{
	u32 allocated = bootmem_end() - tables_allocated * PAGE_SIZE;

	return physical == __pa(swapper_pg_dir) || (physical >= allocated && physical < bootmem_end()) ||
	       (physical >= builders_tables_start() && physical < builders_tables_end());
}

/* Tables are read-only, and nothing but tables: set_pte has to let the rest be written. */
static void check_rights(void)
{
	u32 tables = 0;

	for (u32 pfn = 0; pfn < max_low_pfn; pfn++) {
		u32 physical = pfn * PAGE_SIZE;
		int writable = !!(leaf_of(PAGE_OFFSET + physical) & _PAGE_RW);

		tables += is_table(physical);
		if (writable && is_table(physical))
			FAIL("the table at %x can be written\n", (u64)physical);
		if (!writable && !is_table(physical))
			FAIL("memory at %x cannot be written, but is no table\n", (u64)physical);
	}
	print("%d tables are read-only\n", (u64)tables);
}

/* The page tables that the builder made are linked where they were. */
static void check_kept(void)
{
	const pgd_t *builders = (const pgd_t *)start_info->pt_base + pgd_index(PAGE_OFFSET);

	for (u32 i = 0; i < builders_page_tables(); i++) {
		u32 address = PAGE_OFFSET + i * PMD_SIZE;

		if (pmd_offset(pgd_of(address), address)->value != pmd_offset(builders, address)->value)
			FAIL("the builder's page table of %x has been replaced\n", (u64)address);
	}
}

void check_variant(void)
{
	check_kept();
	check_rights();
}
