/*
 * What is mapped before init_memory_mapping: enough for the first tables, until the direct map has come far enough.
 * Who made it says here where it is.
 */
#include "direct_map.h"
#include "paging_hooks.h"

struct initial_range {
	struct range physical;
	u64 address;
};

static struct initial_range initial_map[8];
static unsigned initial_ranges;

void add_initial_range(u64 start, u64 end, u64 address)
{
	initial_map[initial_ranges++] = (struct initial_range){ { start, end }, address };
}

void *initial_address(u64 physical)
{
	for (unsigned i = 0; i < initial_ranges; i++) {
		const struct initial_range *range = &initial_map[i];

		if (physical >= range->physical.start && physical < range->physical.end)
			return (void *)(physical - range->physical.start + range->address);
	}
	return NULL;
}

u64 *table_va(u64 physical)
{
	void *address = initial_address(physical);

	/* The invariant: a table that is attached lies in the direct map. */
	return address ? address : __va(physical);
}

const u64 *lookup_address(u64 address, unsigned *shift)
{
	const u64 *table = init_level4_pgt;

	for (*shift = PGDIR_SHIFT;; *shift -= 9) {
		const u64 *entry = &table[(address >> *shift) & (PTRS_PER_TABLE - 1)];

		if (!(*entry & _PAGE_PRESENT))
			return NULL;
		if (*shift == PAGE_SHIFT || (*entry & _PAGE_PSE))
			return entry;
		table = table_va(paging->entry_physical(*entry));
	}
}
