/* The kernel's own root, grafted onto what the domain builder made. */
#include "xen_p2m.h"

table_t init_level4_pgt __attribute__((aligned(PAGE_SIZE)));
table_t level3_kernel_pgt __attribute__((aligned(PAGE_SIZE)));

void *frame_address(u64 pfn)
{
	if (direct_map_is_complete || pfn >= initial_mapping_end())
		return __va(pfn << 12);
	return (void *)(__START_KERNEL_map + (pfn << 12));
}

const u64 *lookup(u64 address, unsigned level)
{
	const u64 *table = init_level4_pgt;

	for (unsigned at = 4;; at--) {
		const u64 *entry = &table[(address >> (12 + 9 * (at - 1))) & (PTRS_PER_TABLE - 1)];

		if (at == level)
			return entry;
		if (!(*entry & _PAGE_PRESENT) || (*entry & _PAGE_PSE))
			return NULL;
		table = frame_address(mfn_to_pfn((*entry & PTE_PFN_MASK) >> 12));
	}
}

static void set_rights(u64 pfn, u64 flags)
{
	const void *places[] = { __va(pfn << 12), (void *)(__START_KERNEL_map + (pfn << 12)) };

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		const u64 *entry;

		if (i == 1 && pfn >= initial_mapping_end())
			continue;
		entry = lookup((u64)places[i], 1);
		if (entry && (*entry & _PAGE_PRESENT))
			update_va(places[i], entry_for(pfn, flags), UVMF_INVLPG);
	}
}

void make_read_only(u64 pfn)
{
	set_rights(pfn, PAGE_RO);
}

void make_writable(u64 pfn)
{
	set_rights(pfn, PAGE_RW);
}

void setup_kernel_pagetable(void)
{
	unsigned slot = pgd_index(start_info.mfn_list);

	/* The last GiB has nothing of ours; the builder's mapping ends before. */
	graft_kernel_mapping(init_level4_pgt, level3_kernel_pgt);
	/* The list must stay reachable until it has been copied. */
	if (p2m_is_outside() && boot_settings.defect != DEFECT_NO_SLOT)
		init_level4_pgt[slot] = builders_root_entry(slot);

	protect_static_table(level3_kernel_pgt);
	if (boot_settings.defect != DEFECT_WRITABLE_ROOT)
		protect_static_table(init_level4_pgt);
	use_root(init_level4_pgt);
}
