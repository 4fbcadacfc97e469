/* Page tables on bare hardware. */
#include "direct_map.h"
#include "paging_hooks.h"

static u64 make_entry(u64 physical, u64 flags)
{
	return (physical | flags) & supported_pte_mask;
}

static u64 entry_physical(u64 entry)
{
	return entry & PTE_PFN_MASK;
}

static u64 make_pte(u64 physical)
{
	return make_entry(physical, __PAGE_KERNEL);
}

/* One memory is as good as another. */
static void ignore_range(u64 start, u64 end)
{
	(void)start;
	(void)end;
}

/* The hardware does not care who else can write a table. */
static void announce_table(u64 physical, unsigned level)
{
	(void)physical;
	(void)level;
}

static void set_entry(u64 *entry, u64 value, unsigned level)
{
	(void)level;
	*(volatile u64 *)entry = value;
}

static void link_table(u64 *entry, u64 physical, unsigned level)
{
	set_entry(entry, make_entry(physical, _KERNPG_TABLE), level);
}

const struct paging_hooks native_paging = {
	.make_entry = make_entry,
	.entry_physical = entry_physical,
	.make_pte = make_pte,
	.table_space_found = ignore_range,
	.table_space_left = ignore_range,
	.announce_table = announce_table,
	.link_table = link_table,
	.set_entry = set_entry,
	.flush_tlb_one = invlpg,
	.flush_tlb_all = flush_global_tlb,
};

const struct paging_hooks *paging = &native_paging;
