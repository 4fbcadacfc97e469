/*
 * The record of table pages, and the rules that it proves: the alias of a page is dropped before the page is attached,
 * and a page that is attached is mapped already, so that nobody needs an alias for it ever again.
 */
#include "../common/print.h"
#include "direct_map.h"
#include "paging_hooks.h"

#define RECORDED 4096
#define LEVELS 4

/* Steps count what happens to table pages, from 1 on; 0 is for what has not happened. */
struct table_page {
	u64 phys;
	u32 level;
	u32 attached;
	u32 alias_dropped;	/* 0 too where there never was an alias */
};

/*
 * In the order in which the pages were taken. Where there are more than fit, the rest is not recorded: each level then
 * has one entry behind the last record that is used again and again.
 */
struct table_page table_pages[RECORDED + LEVELS];
u32 table_pages_count;

static u32 step;
static struct table_page *in_progress[LEVELS];
static u64 violations;

void record_table_page(unsigned level, u64 physical)
{
	u32 index = table_pages_count++;
	struct table_page *page = &table_pages[index < RECORDED ? index : RECORDED + level];

	*page = (struct table_page){ .phys = physical, .level = level };
	in_progress[level] = page;
}

void record_alias_dropped(unsigned level)
{
	in_progress[level]->alias_dropped = ++step;
}

/* The slot of the fixmap that maps a page; -1 where none does. */
static int alias_of(u64 physical)
{
	for (unsigned slot = 0; slot < FIX_SLOTS; slot++) {
		u64 entry = level1_fixmap_pgt[slot];

		if ((entry & _PAGE_PRESENT) && paging->entry_physical(entry) == physical)
			return slot;
	}
	return -1;
}

void record_attach(unsigned level, u64 mapped_below)
{
	struct table_page *page = in_progress[level];
	int alias = alias_of(page->phys);

	page->attached = ++step;
	if (alias >= 0 && !violations++)
		print("invariant: the table at %x (level %d) is attached at step %d while slot %d of the fixmap still maps it\n",
		      page->phys, (u64)level, (u64)page->attached, (u64)alias);
	if (page->phys >= mapped_below && !initial_address(page->phys) && !violations++)
		print("invariant: the table at %x (level %d) is attached at step %d outside of the direct map, which ends at %x\n",
		      page->phys, (u64)level, (u64)page->attached, mapped_below);
}

u64 check_table_pages(void)
{
	u64 late = 0;

	for (u32 i = 0; i < table_pages_count && i < RECORDED; i++) {
		if (table_pages[i].alias_dropped >= table_pages[i].attached)
			late++;
	}
	print("table pages: %d, %d with an alias dropped too late, %d times an invariant was broken\n",
	      (u64)table_pages_count, late, violations);
	return late + violations;
}
