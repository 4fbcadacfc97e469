/*
 * Page tables below a hypervisor. What is used as a table may be writable to nobody, entries hold machine frames, and
 * all that is done to a table in use is asked for.
 */
/* First, since it says where the direct map lies. */
#include "direct_map.h"
#include "../common/xen64.h"
#include "paging_hooks.h"

/* Memory that only holds tables, or will: read-only in the direct map from the start. */
static struct range table_space;

/* What is asked for each page of memory is inlined. */
inline u64 pfn_to_mfn(u64 pfn)
{
	return ((const u64 *)start_info.mfn_list)[pfn];
}

static inline u64 make_entry(u64 physical, u64 flags)
{
	u64 mfn = pfn_to_mfn(physical >> PAGE_SHIFT);

	/* The domain has no memory there. */
	if (mfn == INVALID_MFN)
		return 0;
	return (mfn << PAGE_SHIFT | flags) & supported_pte_mask;
}

static u64 entry_physical(u64 entry)
{
	return mfn_to_pfn((entry & PTE_PFN_MASK) >> PAGE_SHIFT) << PAGE_SHIFT;
}

/* The frames of the P->M list hold the tables that map it. */
static inline int is_list(u64 physical)
{
	return (physical >> PAGE_SHIFT) - start_info.first_p2m_pfn < start_info.nr_p2m_frames;
}

static inline int is_table_space(u64 physical)
{
	return physical - table_space.start < table_space.end - table_space.start;
}

static u64 make_pte(u64 physical)
{
	int read_only = is_table_space(physical) || is_list(physical);

	return make_entry(physical, read_only ? __PAGE_KERNEL & ~_PAGE_RW : __PAGE_KERNEL);
}

/* The machine address of an entry, wherever the program reaches it. */
static u64 machine_address(const u64 *entry)
{
	u64 address = (u64)entry, offset = address & (PAGE_SIZE - 1);
	u64 slot = (address - fix_to_virt(0)) >> PAGE_SHIFT, physical;

	if (slot < FIX_SLOTS)
		return (level1_fixmap_pgt[slot] & PTE_PFN_MASK) | offset;
	physical = address >= __START_KERNEL_map ? __pa(entry) : address - __PAGE_OFFSET;
	return pfn_to_mfn(physical >> PAGE_SHIFT) << PAGE_SHIFT | offset;
}

static void set_entry_in_use(u64 *entry, u64 value, unsigned level)
{
	if (level == 1 && boot_settings.defect == DEFECT_DIRECT_WRITE)
		*(volatile u64 *)entry = value;
	else
		update_entry(machine_address(entry), value);
}

static void set_entry(u64 *entry, u64 value, unsigned level)
{
	if (is_in_new_table(entry, level))
		*(volatile u64 *)entry = value;
	else
		set_entry_in_use(entry, value, level);
}

/* The direct map shows a page of the early table space read-only from the start, where it does not show it already. */
static void announce_table(u64 physical, unsigned level)
{
	(void)level;
	if (boot_settings.defect != DEFECT_WRITABLE_TABLE && (after_bootmem || physical >> PAGE_SHIFT < initial_mapping_end()))
		update_va(table_va(physical), make_entry(physical, __PAGE_KERNEL & ~_PAGE_RW), UVMF_INVLPG);
}

static void link_table(u64 *entry, u64 physical, unsigned level)
{
	(void)level;
	update_entry(machine_address(entry), make_entry(physical, _KERNPG_TABLE));
}

static void table_space_found(u64 start, u64 end)
{
	if (boot_settings.defect != DEFECT_WRITABLE_TABLE)
		table_space = (struct range){ start, end };
	map_first_table_pages(start, end);
}

#define BATCH 128

static void table_space_left(u64 start, u64 end)
{
	static struct mmu_update batch[BATCH];
	const u64 *entry = NULL;
	unsigned shift, used = 0;

	if (boot_settings.defect != DEFECT_WRITABLE_TABLE)
		table_space.end = start;
	for (u64 page = start; page < end; page += PAGE_SIZE) {
		entry = entry && pte_index(page) ? entry + 1 : lookup_address((u64)__va(page), &shift);
		batch[used++] = (struct mmu_update){ machine_address(entry), make_pte(page) };
		if (used == BATCH || page + PAGE_SIZE == end) {
			update_entries(batch, used);
			used = 0;
		}
	}
}

static void flush_tlb_one(u64 address)
{
	mmuext(MMUEXT_INVLPG_LOCAL, address);
}

static void flush_tlb_all(void)
{
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
}

static const struct paging_hooks xen_paging = {
	.make_entry = make_entry,
	.entry_physical = entry_physical,
	.make_pte = make_pte,
	.table_space_found = table_space_found,
	.table_space_left = table_space_left,
	.announce_table = announce_table,
	.link_table = link_table,
	.set_entry = set_entry,
	.flush_tlb_one = flush_tlb_one,
	.flush_tlb_all = flush_tlb_all,
};

const struct paging_hooks *paging = &xen_paging;
