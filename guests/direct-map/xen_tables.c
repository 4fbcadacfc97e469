/*
 * Tables of a domain before init_memory_mapping. The builder's show the beginning of memory at the kernel's addresses;
 * the direct map begins with the same level-1 tables. That, and the first pages of the table space, is all that is mapped
 * to start with: static tables lead there.
 */
/* First, since it says where the direct map lies. */
#include "direct_map.h"
#include "../common/xen64.h"
#include "paging_hooks.h"

/* As linked: nobody moves a domain. */
u64 phys_base;

#define STATIC_TABLE __attribute__((aligned(PAGE_SIZE)))

table_t init_level4_pgt STATIC_TABLE;
table_t level2_fixmap_pgt STATIC_TABLE;
table_t level1_fixmap_pgt STATIC_TABLE;
static table_t level3_kernel_pgt STATIC_TABLE;

/*
 * For the direct map: one of level 3, one of level 2 for the builder's tables, and as many as may be needed for the
 * first pages of the table space.
 */
#define EARLY_PGTS 8
static table_t early_pgts[EARLY_PGTS] STATIC_TABLE;
static unsigned early_pgts_used;

/*
 * A table space that the builder has not mapped begins behind the P->M list. Each table maps 2 MiB: this many map 2 GiB, and
 * so reach themselves in any domain of less than 1 TiB. Three tables of level 1 and two of level 2 suffice for them.
 */
#define FIRST_TABLE_PAGES 1024

void setup_kernel_pagetable(void)
{
	table_t *const tables[] = { &init_level4_pgt, &level3_kernel_pgt, &level2_fixmap_pgt, &level1_fixmap_pgt };
	unsigned list = pgd_index(start_info.mfn_list);

	graft_kernel_mapping(init_level4_pgt, level3_kernel_pgt);
	level3_kernel_pgt[L3_FIXMAP] = entry_for(__pa(level2_fixmap_pgt) >> PAGE_SHIFT, _KERNPG_TABLE);
	level2_fixmap_pgt[L2_FIXMAP] = entry_for(__pa(level1_fixmap_pgt) >> PAGE_SHIFT, _KERNPG_TABLE);
	/* Where the P->M list is. */
	if (p2m_is_outside())
		init_level4_pgt[list] = builders_root_entry(list);
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		protect_static_table(tables[i]);
	use_root(init_level4_pgt);
}

/* The table of the direct map below an entry of `level`. */
static u64 *early_table(u64 *entry, unsigned level)
{
	u64 *table;

	if (*entry & _PAGE_PRESENT)
		return table_va(paging->entry_physical(*entry));
	if (early_pgts_used == EARLY_PGTS)
		FAIL("no static table is left\n");
	table = early_pgts[early_pgts_used++];
	protect_static_table(table);
	paging->link_table(entry, __pa(table), level);
	return table;
}

/* The direct map's entry of level 2 for a physical address. */
static u64 *early_pmd(u64 physical)
{
	u64 address = (u64)__va(physical);
	u64 *pud_page = early_table(&init_level4_pgt[pgd_index(address)], 4);
	u64 *pmd_page = early_table(&pud_page[pud_index(address)], 3);

	return &pmd_page[pmd_index(address)];
}

void adopt_builders_tables(void)
{
	u64 end = initial_mapping_end() << PAGE_SHIFT;
	const u64 *builders_l2 = initial_table(level3_kernel_pgt[L3_START_KERNEL]);

	add_initial_range(0, end, __START_KERNEL_map);
	for (u64 physical = 0; physical < end; physical += PMD_SIZE)
		paging->link_table(early_pmd(physical), paging->entry_physical(builders_l2[pmd_index(physical)]), 2);
	print("existing: the builder's tables map 0-%x\n", end);
}

void map_first_table_pages(u64 start, u64 end)
{
	if (initial_address(start))
		return;
	if (end - start > FIRST_TABLE_PAGES * PAGE_SIZE)
		end = start + FIRST_TABLE_PAGES * PAGE_SIZE;
	for (u64 physical = start; physical < end; physical += PAGE_SIZE) {
		u64 *pte_page = early_table(early_pmd(physical), 2);

		paging->set_entry(&pte_page[pte_index(physical)], paging->make_pte(physical), 1);
	}
	add_initial_range(start, end, (u64)__va(start));
	print("existing: %x-%x, for the first tables\n", start, end);
}
