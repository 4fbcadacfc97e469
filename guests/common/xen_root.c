/* A root of the program's own, grafted onto what the domain builder made. */
#include "xen64.h"

const u64 *initial_table(u64 entry)
{
	return (const u64 *)(__START_KERNEL_map + (mfn_to_pfn((entry & PTE_PFN_MASK) >> 12) << 12));
}

u64 builders_root_entry(unsigned slot)
{
	return ((const u64 *)start_info.pt_base)[slot];
}

/* Before the new root is the CPU's, the builder's is walked: it maps the static tables at the kernel's addresses. */
void protect_static_table(const void *table)
{
	update_va(table, entry_for(__pa(table) >> 12, PAGE_RO), UVMF_INVLPG);
}

void graft_kernel_mapping(u64 *root, u64 *level3)
{
	level3[L3_START_KERNEL] = initial_table(builders_root_entry(L4_START_KERNEL))[L3_START_KERNEL];
	root[L4_START_KERNEL] = entry_for(__pa(level3) >> 12, _PAGE_TABLE);
}

void use_root(const u64 *root)
{
	u64 builders = __pa((void *)start_info.pt_base) >> 12;

	mmuext(MMUEXT_PIN_L4_TABLE, pfn_to_mfn(__pa(root) >> 12));
	mmuext(MMUEXT_NEW_BASEPTR, pfn_to_mfn(__pa(root) >> 12));
	mmuext(MMUEXT_UNPIN_TABLE, pfn_to_mfn(builders));
}
