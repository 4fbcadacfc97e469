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

static void check_right(entry_t leaf, u32 physical)
{
	int read_only = !(leaf & _PAGE_RW);

	if (is_table(physical) && !read_only)
		FAIL("the table at %x can be written\n", (u64)physical);
	if (read_only && !is_table(physical))
		FAIL("memory at %x cannot be written, but is no table\n", (u64)physical);
}

/* Tables are read-only, and nothing but tables: set_pte has to let the rest be written. */
static void check_rights(void)
{
	u32 read_only = 0;

	for (u32 pfn = 0; pfn < max_low_pfn;) {
		u32 address = PAGE_OFFSET + pfn * PAGE_SIZE;
		const pte_t *pte = pmd_page_table(table_pmd(address));

		for (unsigned i = 0; i < PTRS_PER_PTE && pfn < max_low_pfn; i++, pfn++) {
			check_right(pte[i].value, pfn * PAGE_SIZE);
			read_only += !(pte[i].value & _PAGE_RW);
		}
	}
	print("%d tables are read-only\n", (u64)read_only);
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
