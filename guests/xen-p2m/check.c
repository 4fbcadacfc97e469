/* What must be true when all is done. */
#include "xen_p2m.h"

static void check_slot(void)
{
	unsigned slot = pgd_index(start_info.mfn_list);

	if (p2m_is_outside() && init_level4_pgt[slot])
		FAIL("L4 slot %d still holds %x\n", (u64)slot, init_level4_pgt[slot]);
	if (!p2m_is_outside()) {
		const u64 *entry = lookup(start_info.mfn_list, 1);

		if (entry && *entry)
			FAIL("the list is still mapped\n");
	}
}

static void check_accounting(u64 before)
{
	u64 after = free_count(), expected = before + freed_list_frames + freed_table_frames;

	print("free frames: %d before, %d of the list, %d of its tables, %d after\n", before, freed_list_frames,
	      freed_table_frames, after);
	if (after != expected)
		FAIL("%d frames should be free\n", expected);
	if (p2m_is_outside() && freed_list_frames + freed_table_frames != start_info.nr_p2m_frames)
		FAIL("the builder took %d frames for the list and its tables\n", (u64)start_info.nr_p2m_frames);
}

static int is_writable(u64 address)
{
	const u64 *entry = lookup(address, 1);

	return entry && (*entry & _PAGE_PRESENT) && (*entry & _PAGE_RW);
}

/* Each page of memory: what was freed can be written, what is a table cannot, wherever it is mapped. */
static void check_pages(void)
{
	u64 tables = 0, freed = 0;

	for (unsigned i = 0; i < ram_ranges; i++) {
		for (u64 pfn = ram[i].start; pfn < ram[i].end; pfn++) {
			u64 direct = (u64)__va(pfn << 12), high = __START_KERNEL_map + (pfn << 12);

			if (is_table_frame(pfn)) {
				tables++;
				if (is_writable(direct) || (pfn < initial_mapping_end() && is_writable(high)))
					FAIL("the table in frame %x can be written\n", pfn);
			} else if (is_freed(pfn)) {
				freed++;
				if (!is_writable(direct))
					FAIL("frame %x was freed and cannot be written\n", pfn);
			}
		}
	}
	print("%d tables are read-only, %d freed pages are writable\n", tables, freed);
}

void check_all(u64 free_before)
{
	check_slot();
	check_accounting(free_before);
	check_pages();
}
