/*
 * All memory at PAGE_OFFSET, in pages of 4 KiB: the hypervisor has no others for its guests. A table is filled while
 * it can still be written, made read-only everywhere, and then linked.
 */
#include "xen_p2m.h"

/* Pages. */
u64 direct_mapped;
int direct_map_is_complete;

/*
 * The rule for each page table entry. Page tables must never be mapped writable, and the frames of a list that lies
 * outside of the initial mapping hold the tables that map it.
 */
static u64 mask_rw_pte(u64 pfn)
{
	u64 first = start_info.first_p2m_pfn;

	if (is_table_frame(pfn))
		return PAGE_RO;
	if (p2m_is_outside() && boot_settings.defect != DEFECT_NO_MASK && pfn >= first &&
	    pfn < first + start_info.nr_p2m_frames)
		return PAGE_RO;
	return PAGE_RW;
}

static u64 pte_for(u64 pfn)
{
	direct_mapped++;
	return pfn_to_mfn(pfn) << 12 | mask_rw_pte(pfn);
}

/* The frame of the table that the entry of a level leads to. */
static u64 linked_frame(u64 address, unsigned level)
{
	return mfn_to_pfn((*lookup(address, level) & PTE_PFN_MASK) >> 12);
}

/* The machine address of the entry of a level that translates an address; the tables above are there. */
static u64 entry_address(u64 address, unsigned level)
{
	u64 table = level == 4 ? __pa(init_level4_pgt) >> 12 : linked_frame(address, level + 1);
	u64 index = (address >> (12 + 9 * (level - 1))) & (PTRS_PER_TABLE - 1);

	return (pfn_to_mfn(table) << 12) + index * sizeof(u64);
}

/* Links a filled table below the entry of a level. */
static void link_table(u64 address, unsigned level, u64 pfn)
{
	if (boot_settings.defect != DEFECT_WRITABLE_TABLE)
		make_read_only(pfn);
	if (level == 2)
		mmuext(MMUEXT_PIN_L1_TABLE, pfn_to_mfn(pfn));
	update_entry(entry_address(address, level), pfn_to_mfn(pfn) << 12 | _PAGE_TABLE);
}

/* Makes sure that the entry of a level leads to a table. */
static void require_table(u64 address, unsigned level)
{
	u64 pfn;

	if (level < 4)
		require_table(address, level + 1);
	if (*lookup(address, level) & _PAGE_PRESENT)
		return;
	pfn = alloc_table_frame();
	memset(frame_address(pfn), 0, PAGE_SIZE);
	link_table(address, level, pfn);
}

/* The pages of one L1 table, from one frame to another. */
static void map_frames(u64 start, u64 end)
{
	u64 address = (u64)__va(start << 12), pfn;
	u64 *table;

	require_table(address, 3);
	if (*lookup(address, 2) & _PAGE_PRESENT) {
		for (; start < end; start++)
			update_entry(entry_address((u64)__va(start << 12), 1), pte_for(start));
		return;
	}
	pfn = alloc_table_frame();
	table = frame_address(pfn);
	memset(table, 0, PAGE_SIZE);
	for (; start < end; start++)
		table[start % PTRS_PER_TABLE] = pte_for(start);
	link_table(address, 2, pfn);
}

static void map_range(u64 start, u64 end)
{
	while (start < end) {
		u64 next = (start | (PTRS_PER_TABLE - 1)) + 1;

		if (next > end)
			next = end;
		map_frames(start, next);
		start = next;
	}
}

/*
 * Free memory comes first: the few frames that the initial mapping has to spare make the tables for its beginning, and
 * from then on it holds its own. What lies before it may be more than those frames could map.
 */
void build_direct_map(void)
{
	u64 first = free_start();

	for (unsigned i = 0; i < ram_ranges; i++) {
		if (ram[i].end > first)
			map_range(ram[i].start > first ? ram[i].start : first, ram[i].end);
	}
	for (unsigned i = 0; i < ram_ranges; i++) {
		if (ram[i].start < first)
			map_range(ram[i].start, ram[i].end < first ? ram[i].end : first);
	}
	direct_map_is_complete = 1;
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
}
