/* The kernel's own root, grafted onto what the domain builder made. */
#include "xen_p2m.h"

static u64 entry_for(u64 pfn, u64 flags)
{
	return pfn_to_mfn(pfn) << 12 | flags;
}

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

/* Before the new root is the CPU's, the builder's is walked: it maps the static tables at the kernel's addresses. */
static void protect_static_table(const void *table)
{
	update_va(table, entry_for(__pa(table) >> 12, PAGE_RO), UVMF_INVLPG);
}

void setup_kernel_pagetable(void)
{
	const u64 *builders_l4 = (const u64 *)start_info.pt_base;
	const u64 *builders_l3, *builders_l2_entry;
	unsigned slot = pgd_index(start_info.mfn_list);

	builders_l3 = frame_address(mfn_to_pfn((builders_l4[L4_START_KERNEL] & PTE_PFN_MASK) >> 12));
	builders_l2_entry = &builders_l3[L3_START_KERNEL];
	level3_kernel_pgt[L3_START_KERNEL] = *builders_l2_entry;
	/* The last GiB has nothing of ours; the builder's mapping ends before. */
	init_level4_pgt[L4_START_KERNEL] = entry_for(__pa(level3_kernel_pgt) >> 12, _PAGE_TABLE);
	/* The list must stay reachable until it has been copied. */
	if (p2m_is_outside() && boot_settings.defect != DEFECT_NO_SLOT)
		init_level4_pgt[slot] = builders_l4[slot];

	protect_static_table(level3_kernel_pgt);
	if (boot_settings.defect != DEFECT_WRITABLE_ROOT)
		protect_static_table(init_level4_pgt);
	mmuext(MMUEXT_PIN_L4_TABLE, pfn_to_mfn(__pa(init_level4_pgt) >> 12));
	mmuext(MMUEXT_NEW_BASEPTR, pfn_to_mfn(__pa(init_level4_pgt) >> 12));
	mmuext(MMUEXT_UNPIN_TABLE, pfn_to_mfn(__pa(builders_l4) >> 12));
}
