/* What must be true once the CPU uses the new tables: what the entries say, and what the CPU makes of them. */
#include "checks.h"

#define RET 0xc3
/* P and I/D of the error code: a fetch from a page that is present. */
#define FETCH_FROM_PRESENT 0x11

/* Data that could be run. */
static u8 code_in_data[] = { RET };

/* Whether a page of low memory, small or large, holds text. */
static int holds_text(u32 address, u32 size)
{
	return address < (u32)_etext && address + (size - 1) >= (u32)_text;
}

static void check_leaf(entry_t leaf, u32 pfn, u32 size)
{
	u32 physical = pfn * PAGE_SIZE, address = PAGE_OFFSET + physical;

	if (!(leaf & _PAGE_PRESENT) || entry_physical(leaf) != physical)
		FAIL("low memory at %x is not mapped at %x\n", (u64)physical, (u64)address);
	if (use_nx && !(leaf & _PAGE_NX) && !holds_text(address, size))
		FAIL("memory at %x is executable, but no kernel text\n", (u64)address);
}

static void check_slot(u32 pfn)
{
	u32 address = PAGE_OFFSET + pfn * PAGE_SIZE;
	u32 end = max_low_pfn - pfn < PTRS_PER_PTE ? max_low_pfn : pfn + PTRS_PER_PTE;
	const pmd_t *pmd = pmd_offset(pgd_of(address), address);
	const pte_t *pte;

	if (!pmd_is_table(pmd)) {
		check_leaf(pmd->value, pfn, PMD_SIZE);
		return;
	}
	for (pte = pmd_page_table(pmd); pfn < end; pfn++, pte++)
		check_leaf(pte->value, pfn, PAGE_SIZE);
}

/* What the CPU makes of the entries, and what they say. */
static void check_low_memory(void)
{
	u32 readable = probe_read_pages(__va(0), max_low_pfn);

	if (readable < max_low_pfn)
		FAIL("low memory at %x cannot be read through PAGE_OFFSET\n", (u64)(readable * PAGE_SIZE));
	for (u32 pfn = 0; pfn < max_low_pfn; pfn += PTRS_PER_PTE)
		check_slot(pfn);
}

/* Large pages give their executability to all that they hold. */
static void check_not_executable(const u8 *address)
{
	u32 size = use_pse ? PMD_SIZE : PAGE_SIZE;

	if (holds_text((u32)address & ~(size - 1), size))
		return;
	if (probe_call(address) != FETCH_FROM_PRESENT)
		FAIL("memory at %x can be executed, but is no kernel text\n", (u64)(u32)address);
}

/* Data of the kernel, and the last page of low memory, which nobody uses. */
static void check_execution(void)
{
	u8 *last = __va((max_low_pfn - 1) * PAGE_SIZE);

	if (!use_nx)
		return;
	*last = RET;
	check_not_executable(code_in_data);
	check_not_executable(last);
}

static void check_empty_tables(const char *name, u32 start, u32 end)
{
	for (u32 address = start; address != end; address += PMD_SIZE) {
		pmd_t *pmd = table_pmd(address);

		if (!pmd)
			FAIL("the %s has no page table at %x\n", name, (u64)address);
		for (unsigned i = 0; i < PTRS_PER_PTE; i++) {
			if (pmd_page_table(pmd)[i].value)
				FAIL("the %s's page table at %x is not empty\n", name, (u64)address);
		}
	}
}

static void check_fixed_mappings(void)
{
	u32 end = (FIXADDR_TOP + PMD_SIZE - 1) & PMD_MASK;

	check_empty_tables("fixmap", FIXADDR_START & PMD_MASK, end);
	if (max_pfn > max_low_pfn)
		check_empty_tables("permanent kmap", PKMAP_BASE, PKMAP_BASE + PMD_SIZE);
	for (u32 address = end; address != KERNEL_END; address += PMD_SIZE) {
		if (table_pmd(address))
			FAIL("there is a page table for %x, above the end of the fixmap\n", (u64)address);
	}
}

void check_paging(void)
{
	check_low_memory();
	check_execution();
	check_fixed_mappings();
	check_variant();
}
