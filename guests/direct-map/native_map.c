/*
 * What is mapped to start with on bare hardware: the lowest 2 MiB with memory, where the search for table space begins,
 * the kernel's image with the memory behind it, where the search goes on when the space in front does not suffice, and
 * whatever exists in the direct map.
 */
#include "direct_map.h"
#include "paging_hooks.h"

/* The large page in front of the fixmap's table shows the lowest memory. */
#define L2_LOW (L2_FIXMAP - 1)
#define LOW_ADDRESS (__START_KERNEL_map + PUD_SIZE + L2_LOW * PMD_SIZE)

/* The kernel map was made for any kernel: only the image and the large page behind it stay. */
void cleanup_highmap(void)
{
	u64 end = (((u64)_end + PMD_SIZE - 1) & ~(PMD_SIZE - 1)) + PMD_SIZE;

	for (unsigned i = 0; i < PTRS_PER_TABLE; i++) {
		u64 address = __START_KERNEL_map + i * PMD_SIZE;

		if (address < (u64)_text || address >= end)
			paging->set_entry(&level2_kernel_pgt[i], 0, 2);
	}
	paging->flush_tlb_all();
	add_initial_range(__pa_symbol(_text), end - __START_KERNEL_map + phys_base, (u64)_text);
}

void map_lowest_memory(void)
{
	u64 start = find_e820_area(TABLE_SPACE_FROM, MAXMEM, PAGE_SIZE) & ~(PMD_SIZE - 1);

	paging->set_entry(&level2_fixmap_pgt[L2_LOW], paging->make_entry(start, __PAGE_KERNEL_LARGE), 2);
	add_initial_range(start, start + PMD_SIZE, LOW_ADDRESS);
}
