/*
 * The direct map: [start, end) of physical memory at __PAGE_OFFSET.
 *
 * Each table is filled while nothing leads to it, then loses its alias, and only then is attached. Entries that exist
 * are kept: somebody may have built a part of the tables before, and may not like it changed.
 */
#include "direct_map.h"
#include "paging_hooks.h"

int after_bootmem;

static inline int keep(u64 entry)
{
	return (entry & _PAGE_PRESENT) && boot_settings.defect != DEFECT_OVERWRITE;
}

/* A page that exists counts in the first pass over it: in a later one it may be a page of the first. */
static unsigned count_of_existing(void)
{
	return !after_bootmem;
}

/* Nothing may be mapped behind the end; but a later pass finds there what the first one left. */
static void clear_rest(u64 *table, unsigned index, unsigned level)
{
	if (after_bootmem)
		return;
	for (; index < PTRS_PER_TABLE; index++) {
		if (table[index])
			paging->set_entry(&table[index], 0, level);
	}
}

/* Makes `entry` lead to the new page of `level`, which maps memory from `start` on. */
static void attach_table(u64 *entry, u64 physical, unsigned level, u64 start)
{
	int early = boot_settings.defect != DEFECT_KEEP_ALIAS;

	if (early)
		unmap_low_page(level);
	paging->announce_table(physical, level);
	record_attach(level, start);
	paging->link_table(entry, physical, level + 1);
	if (!early)
		unmap_low_page(level);
}

/* The functions below fill a table from `address` to `end`, or to its own end, and give the end of what they mapped. */

static u64 phys_pte_init(u64 *pte_page, u64 address, u64 end)
{
	u64 pages = 0, entry;

	for (unsigned i = pte_index(address); i < PTRS_PER_TABLE; i++, address += PAGE_SIZE) {
		if (address >= end) {
			clear_rest(pte_page, i, 1);
			break;
		}
		if (keep(pte_page[i])) {
			pages += count_of_existing();
			continue;
		}
		entry = paging->make_pte(address);
		if (!entry)
			continue;
		paging->set_entry(&pte_page[i], entry, 1);
		pages++;
	}
	update_page_count(1, pages);
	return address;
}

static u64 phys_pte_update(u64 pmd, u64 address, u64 end)
{
	return phys_pte_init(table_va(paging->entry_physical(pmd)), address, end);
}

static u64 phys_pmd_init(u64 *pmd_page, u64 address, u64 end)
{
	u64 mapped_end = address, pages = 0, next;

	for (unsigned i = pmd_index(address); i < PTRS_PER_TABLE; i++, address = next) {
		u64 start = address & ~(PMD_SIZE - 1);
		u64 *pmd = &pmd_page[i], *pte_page, physical;

		next = start + PMD_SIZE;
		if (address >= end) {
			clear_rest(pmd_page, i, 2);
			break;
		}
		if (keep(*pmd)) {
			int table = !(*pmd & _PAGE_PSE) || boot_settings.defect == DEFECT_LARGE_AS_TABLE;

			if (table) {
				mapped_end = phys_pte_update(*pmd, address, end);
			} else {
				pages += count_of_existing();
				mapped_end = next;
			}
			continue;
		}
		if (use_pse) {
			paging->set_entry(pmd, paging->make_entry(start, __PAGE_KERNEL_LARGE), 2);
			pages++;
			mapped_end = next;
			continue;
		}
		pte_page = alloc_low_page(1, &physical);
		mapped_end = phys_pte_init(pte_page, address, end);
		attach_table(pmd, physical, 1, start);
	}
	update_page_count(2, pages);
	return mapped_end;
}

static u64 phys_pmd_update(u64 pud, u64 address, u64 end)
{
	return phys_pmd_init(table_va(paging->entry_physical(pud)), address, end);
}

/* Gives 0 where there is no memory. */
static u64 phys_pud_init(u64 *pud_page, u64 address, u64 end)
{
	u64 mapped_end = 0, pages = 0, next;

	for (unsigned i = pud_index(address); i < PTRS_PER_TABLE; i++, address = next) {
		u64 start = address & ~(PUD_SIZE - 1);
		u64 *pud = &pud_page[i], *pmd_page, physical;

		next = start + PUD_SIZE;
		if (address >= end) {
			clear_rest(pud_page, i, 3);
			break;
		}
		if (!e820_any_ram(start, next)) {
			if (*pud)
				paging->set_entry(pud, 0, 3);
			continue;
		}
		if (keep(*pud)) {
			if (*pud & _PAGE_PSE) {
				pages += count_of_existing();
				mapped_end = next;
			} else {
				mapped_end = phys_pmd_update(*pud, address, end);
			}
			continue;
		}
		if (use_gbpages) {
			paging->set_entry(pud, paging->make_entry(start, __PAGE_KERNEL_LARGE), 3);
			pages++;
			mapped_end = next;
			continue;
		}
		pmd_page = alloc_low_page(2, &physical);
		mapped_end = phys_pmd_init(pmd_page, address, end);
		attach_table(pud, physical, 2, start);
	}
	update_page_count(3, pages);
	return mapped_end;
}

static u64 phys_pud_update(u64 pgd, u64 address, u64 end)
{
	return phys_pud_init(table_va(paging->entry_physical(pgd)), address, end);
}

u64 init_memory_mapping(u64 start, u64 end)
{
	u64 mapped_end = start, slot_end, next;

	if (!after_bootmem)
		find_early_table_space(end);
	for (; start < end; start = next) {
		u64 slot = start & ~(PGDIR_SIZE - 1), physical;
		u64 *pgd = &init_level4_pgt[pgd_index((u64)__va(start))], *pud_page;

		next = slot + PGDIR_SIZE < end ? slot + PGDIR_SIZE : end;
		if (*pgd & _PAGE_PRESENT) {
			slot_end = phys_pud_update(*pgd, start, next);
		} else {
			pud_page = alloc_low_page(3, &physical);
			slot_end = phys_pud_init(pud_page, start, next);
			attach_table(pgd, physical, 3, slot);
		}
		if (slot_end)
			mapped_end = slot_end;
	}
	if (!after_bootmem)
		release_table_space();
	paging->flush_tlb_all();
	return mapped_end;
}
