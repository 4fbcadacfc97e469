/* Temporary aliases: a few slots of the fixmap, whose level-1 table is static. */
#include "../common/memory.h"
#include "direct_map.h"
#include "paging_hooks.h"

u64 fix_to_virt(unsigned slot)
{
	return __START_KERNEL_map + PUD_SIZE + L2_FIXMAP * PMD_SIZE + slot * PAGE_SIZE;
}

void *early_ioremap(unsigned slot, u64 physical)
{
	u64 flags = __PAGE_KERNEL & ~_PAGE_GLOBAL;

	/* Any page may be looked at, tables in use too. */
	if (slot == FIX_ANY)
		flags &= ~_PAGE_RW;
	paging->set_entry(&level1_fixmap_pgt[slot], paging->make_entry(physical, flags), 1);
	return (void *)fix_to_virt(slot);
}

void early_iounmap(unsigned slot)
{
	paging->set_entry(&level1_fixmap_pgt[slot], 0, 1);
	paging->flush_tlb_one(fix_to_virt(slot));
}

void early_memcpy(void *to, u64 physical, u64 bytes)
{
	while (bytes) {
		u64 offset = physical & (PAGE_SIZE - 1);
		u64 part = PAGE_SIZE - offset < bytes ? PAGE_SIZE - offset : bytes;

		memcpy(to, (char *)early_ioremap(FIX_ANY, physical - offset) + offset, part);
		early_iounmap(FIX_ANY);
		to = (char *)to + part;
		physical += part;
		bytes -= part;
	}
}
