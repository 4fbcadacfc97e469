/*
 * The proof at the end: RAM is where the direct map says. Every page below 4 GiB, and some above, is looked up in the
 * tables and read; and some of these are compared with what an alias of the page shows.
 */
#include "../common/print.h"
#include "direct_map.h"
#include "paging_hooks.h"

#define CHECK_ALL_BELOW (4ull << 30)
/* Odd in pages, so that the indexes of all levels change from sample to sample. */
#define SAMPLE_DISTANCE (16385 * (u64)PAGE_SIZE)

static u64 wrong;

static void report(u64 page)
{
	if (!wrong++)
		print("check: the direct map does not lead to page %x\n", page);
}

/* Looks at what an alias of the page shows. */
static void compare(u64 page)
{
	u64 through_alias = *(volatile u64 *)early_ioremap(FIX_ANY, page);

	early_iounmap(FIX_ANY);
	if (through_alias != *(volatile u64 *)__va(page))
		report(page);
}

static int leads_to(u64 entry, u64 physical)
{
	return (entry & _PAGE_PRESENT) && paging->entry_physical(entry) == physical;
}

/* Pages from `page` to `end` that lie in the same 2 MiB: one entry maps them all, or each has its own in one table. */
static void check_pages(u64 page, u64 end)
{
	unsigned shift;
	const u64 *entry = lookup_address((u64)__va(page), &shift);
	u64 first = page;

	if (!entry || !leads_to(*entry, page & ~((1ull << shift) - 1))) {
		report(page);
		return;
	}
	for (; page < end; page += PAGE_SIZE) {
		if (shift == PAGE_SHIFT && !leads_to(*entry++, page)) {
			report(page);
			return;
		}
		(void)*(volatile u64 *)__va(page);
	}
	compare(first);
}

/* Where the pages from `page` on that are looked at together end. */
static u64 next_stop(u64 page, u64 end)
{
	u64 stop = page < CHECK_ALL_BELOW ? (page & ~(PMD_SIZE - 1)) + PMD_SIZE : page + PAGE_SIZE;

	return stop < end ? stop : end;
}

u64 check_direct_map(void)
{
	u64 pages = 0;

	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_of(&boot_params.e820_table[i]);

		for (u64 page = ram.start, stop; page < ram.end;) {
			stop = next_stop(page, ram.end);
			check_pages(page, stop);
			pages += (stop - page) / PAGE_SIZE;
			page = page < CHECK_ALL_BELOW ? stop : page + SAMPLE_DISTANCE;
			/* The last page of a range is never left out. */
			if (page >= ram.end && stop < ram.end)
				page = ram.end - PAGE_SIZE;
		}
	}
	print("checked %d pages, %d wrong\n", pages, wrong);
	return wrong;
}
