/* What must be true of the new tables before the CPU uses them: afterwards nobody could tell. */
#include "checks.h"

entry_t leaf_of(u32 address)
{
	pmd_t *pmd;

	if (!pgd_present(pgd_of(address)))
		return 0;
	pmd = pmd_offset(pgd_of(address), address);
	if (!(pmd->value & _PAGE_PRESENT))
		return 0;
	if (pmd->value & _PAGE_PSE)
		return pmd->value + (address & ~PMD_MASK & ~(PAGE_SIZE - 1u));
	return pmd_page_table(pmd)[pte_index(address)].value;
}

int maps_to(u32 address, u32 physical)
{
	entry_t leaf = leaf_of(address);

	return (leaf & _PAGE_PRESENT) && entry_physical(leaf) == physical;
}

/* Tables that the kernel's part of the root leads to, of both kinds. */
static u32 count_tables(void)
{
	u32 count = 0;

#ifdef PAE
	for (unsigned i = USER_PTRS_PER_PGD; i < PTRS_PER_PGD; i++)
		count += pgd_present(swapper_pg_dir + i);
#endif
	for (u32 address = PAGE_OFFSET; address != KERNEL_END; address += PMD_SIZE)
		count += table_pmd(address) != NULL;
	return count;
}

void check_nothing_replaced(void)
{
	u32 expected = kept_tables() + tables_allocated, linked = count_tables();

	if (linked != expected)
		FAIL("%d tables were there or allocated, %d are linked: tables that were present have been replaced\n",
		     (u64)expected, (u64)linked);
}

void check_new_tables(void)
{
	check_nothing_replaced();
	for (u32 physical = __pa(_text); physical < bootmem_end(); physical += PAGE_SIZE) {
		if (!maps_to(PAGE_OFFSET + physical, physical))
			FAIL("the new tables do not map %x to the kernel's page %x\n", (u64)(PAGE_OFFSET + physical),
			     (u64)physical);
	}
	for (u32 address = (u32)_text; address < (u32)_etext; address += PAGE_SIZE) {
		if (leaf_of(address) & _PAGE_NX)
			FAIL("kernel text at %x is not executable in the new tables\n", (u64)address);
	}
	print("tables: %d allocated\n", (u64)tables_allocated);
}
