/*
 * What must be true of the new tables: before the CPU uses them, since afterwards nobody could tell, and as the CPU
 * sees them. Kept in a large page of its own (see i386-paravirt.lds).
 */
#include "cpu.h"
#include "i386_paravirt.h"

#define RET 0xc3
/* P and I/D of the error code: a fetch from a page that is present. */
#define FETCH_FROM_PRESENT 0x11

/* Data that could be run. */
static u8 code_in_data[] = { RET };

static pgd_t *pgd_of(u32 address)
{
	return swapper_pg_dir + pgd_index(address);
}

static int pgd_present(const pgd_t *pgd)
{
	return pgd->value & _PAGE_PRESENT;
}

/* The leaf that maps an address, its address part as that of the 4 KiB page; 0 where there is none. */
static entry_t leaf_of(u32 address)
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

static int maps_to(u32 address, u32 physical)
{
	entry_t leaf = leaf_of(address);

	return (leaf & _PAGE_PRESENT) && (leaf & PTE_PFN_MASK) == physical;
}

/* The pmd of an address where it leads to a table, else none. */
static pmd_t *table_pmd(u32 address)
{
	pmd_t *pmd;

	if (!pgd_present(pgd_of(address)))
		return NULL;
	pmd = pmd_offset(pgd_of(address), address);
	return pmd_is_table(pmd) ? pmd : NULL;
}

/* Tables that the kernel's part of the root leads to, of both kinds. */
static u32 count_tables(void)
{
	u32 count = 0;

#ifdef PAE
	for (unsigned i = USER_PTRS_PER_PGD; i < PTRS_PER_PGD; i++)
		count += pgd_present(swapper_pg_dir + i);
#endif
	for (u32 address = PAGE_OFFSET; address; address += PMD_SIZE)
		count += table_pmd(address) != NULL;
	return count;
}

/* Tables of the entry assembly that the new ones must have kept: large pages and other formats have no use for them. */
static u32 kept_tables(void)
{
#ifdef PAE
	return 0;
#else
	return use_pse ? 0 : (init_pg_tables_end - __pa(_end)) / PAGE_SIZE;
#endif
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

/* Whether a page of low memory, small or large, holds text. */
static int holds_text(u32 address, u32 size)
{
	return address < (u32)_etext && address + (size - 1) >= (u32)_text;
}

static void check_leaf(entry_t leaf, u32 pfn, u32 size)
{
	u32 physical = pfn * PAGE_SIZE, address = PAGE_OFFSET + physical;

	if (!(leaf & _PAGE_PRESENT) || (leaf & PTE_PFN_MASK) != physical)
		FAIL("low memory at %x is not mapped at %x\n", (u64)physical, (u64)address);
	if (use_nx && !(leaf & _PAGE_NX) && !holds_text(address, size))
		FAIL("memory at %x is executable, but no kernel text\n", (u64)address);
}

/* What the entries say, and what the CPU makes of them. */
static void check_low_memory(void)
{
	for (u32 pfn = 0; pfn < max_low_pfn; pfn++) {
		u32 address = PAGE_OFFSET + pfn * PAGE_SIZE;
		pmd_t *pmd = pmd_offset(pgd_of(address), address);

		if (pmd_is_table(pmd))
			check_leaf(pmd_page_table(pmd)[pte_index(address)].value, pfn, PAGE_SIZE);
		else if (pfn % PTRS_PER_PTE == 0)
			check_leaf(pmd->value, pfn, PMD_SIZE);
		if (probe_read((const void *)address) != NO_FAULT)
			FAIL("low memory at %x cannot be read at %x\n", (u64)(pfn * PAGE_SIZE), (u64)address);
	}
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
	for (u32 address = end; address; address += PMD_SIZE) {
		if (table_pmd(address))
			FAIL("there is a page table for %x, above the end of the fixmap\n", (u64)address);
	}
}

/* The kernel at its physical addresses: what the entry assembly had mapped is there, or is there again. */
static void check_low_alias(void)
{
	for (u32 physical = __pa(_text); physical < __pa(_end); physical += PAGE_SIZE) {
		if (!maps_to(physical, physical) || probe_read((const void *)physical) != NO_FAULT)
			FAIL("low memory is not mapped at %x, its physical address, too\n", (u64)physical);
	}
}

void check_paging(void)
{
	check_low_memory();
	check_execution();
	check_fixed_mappings();
	check_low_alias();
}
