/* The P->M list: its copy in memory of our own, and the end of the builder's. */
#include "xen_p2m.h"

#define PER_PAGE PTRS_PER_TABLE

u64 freed_list_frames, freed_table_frames;

/* A page of frame numbers for each page of the list; those of frames that do not exist share one. */
static u64 **p2m_copy;
static u64 p2m_missing[PER_PAGE] __attribute__((aligned(PAGE_SIZE)));

u64 pfn_to_mfn(u64 pfn)
{
	if (p2m_copy)
		return p2m_copy[pfn / PER_PAGE][pfn % PER_PAGE];
	return ((const u64 *)start_info.mfn_list)[pfn];
}

static u64 list_pages(void)
{
	return (start_info.nr_pages + PER_PAGE - 1) / PER_PAGE;
}

/* Eight entries at a time: a large domain has a hundred million. */
static int same_page(const u64 *a, const u64 *b)
{
	for (unsigned i = 0; i < PER_PAGE; i += 8, a += 8, b += 8) {
		if ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5]) |
		    (a[6] ^ b[6]) | (a[7] ^ b[7]))
			return 0;
	}
	return 1;
}

/* The list fills its last page: slots behind the last frame hold INVALID_MFN like all that are unused. */
void copy_p2m(void)
{
	const u64 *list = (const u64 *)start_info.mfn_list;
	u64 pages = list_pages();
	u64 **copy = __va(alloc_frames((pages * sizeof(*copy) + PAGE_SIZE - 1) / PAGE_SIZE) << 12);

	memset(p2m_missing, 0xff, PAGE_SIZE);
	for (u64 i = 0; i < pages; i++) {
		const u64 *page = list + i * PER_PAGE;

		if (same_page(page, p2m_missing)) {
			copy[i] = p2m_missing;
			continue;
		}
		copy[i] = __va(alloc_frames(1) << 12);
		memcpy(copy[i], page, PAGE_SIZE);
	}
	for (u64 i = 0; i < pages; i++) {
		if (!same_page(copy[i], list + i * PER_PAGE))
			FAIL("the copy of the list is wrong from frame %x on\n", i * PER_PAGE);
	}
	p2m_copy = copy;
}

static void release(u64 pfn, u64 count, u64 *counter)
{
	for (u64 i = 0; p2m_is_outside() && boot_settings.defect != DEFECT_READ_ONLY && i < count; i++)
		make_writable(pfn + i);
	free_frames(pfn, count);
	*counter += count;
}

static u64 frame_of(u64 entry)
{
	return mfn_to_pfn((entry & PTE_PFN_MASK) >> 12);
}

/* The list in the kernel's mapping: its addresses go, and what the large pages around them hold. */
static void clean_highmap(void)
{
	u64 address = start_info.mfn_list, first = __pa((void *)address) >> 12;
	u64 end = (address + list_pages() * PAGE_SIZE + PMD_SIZE - 1) & ~(PMD_SIZE - 1);

	for (; address < end && __pa((void *)address) >> 12 < initial_mapping_end(); address += PAGE_SIZE)
		update_va((void *)address, 0, 0);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
	release(first, list_pages(), &freed_list_frames);
}

/* Frees what an L1 table maps, up to its first empty entry, then the table. */
static void free_level1(u64 table)
{
	const u64 *entries = frame_address(table);

	for (unsigned i = 0; i < PTRS_PER_TABLE && (entries[i] & _PAGE_PRESENT); i++)
		release(frame_of(entries[i]), 1, &freed_list_frames);
	release(table, 1, &freed_table_frames);
}

static void free_level2(u64 table, unsigned from)
{
	const u64 *entries = frame_address(table);

	for (unsigned i = from; i < PTRS_PER_TABLE; i++) {
		if (!(entries[i] & _PAGE_PRESENT))
			continue;
		if (entries[i] & _PAGE_PSE)
			release(frame_of(entries[i]), PTRS_PER_TABLE, &freed_list_frames);
		else
			free_level1(frame_of(entries[i]));
	}
	release(table, 1, &freed_table_frames);
}

/* The list outside: its L4 slot goes, and what hung below is taken apart. Nothing refers to it any more. */
static void clean_mfn_map(void)
{
	u64 address = start_info.mfn_list & ~(PMD_SIZE - 1);
	u64 slot = pgd_index(address), table = frame_of(init_level4_pgt[slot]);
	const u64 *entries = frame_address(table);
	unsigned level2_from = pmd_index(address);

	if (boot_settings.defect != DEFECT_KEEP_SLOT)
		update_entry((pfn_to_mfn(__pa(init_level4_pgt) >> 12) << 12) + slot * sizeof(u64), 0);
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
	for (unsigned i = pud_index(address); i < PTRS_PER_TABLE; i++, level2_from = 0) {
		if (!(entries[i] & _PAGE_PRESENT))
			continue;
		if (entries[i] & _PAGE_PSE)
			release(frame_of(entries[i]), PTRS_PER_TABLE * PTRS_PER_TABLE, &freed_list_frames);
		else
			free_level2(frame_of(entries[i]), level2_from);
	}
	release(table, 1, &freed_table_frames);
}

/* Whoever still uses the old list shall not find what looks right. */
void pagetable_p2m_free(void)
{
	memset((void *)start_info.mfn_list, 0xff, list_pages() * PAGE_SIZE);
	if (p2m_is_outside())
		clean_mfn_map();
	else
		clean_highmap();
}
