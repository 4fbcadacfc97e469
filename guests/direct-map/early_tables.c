/*
 * Pages for tables. Before there is a page allocator they come from one piece of memory that is large enough for all,
 * from low to high; a new one is reached through an alias in the fixmap. Later they come from the allocator, and lie in
 * the direct map already.
 */
#include "../common/memory.h"
#include "../common/print.h"
#include "direct_map.h"
#include "paging_hooks.h"

/* The next page of the table space, and where that ends. */
static u64 table_next, table_end;

u64 *new_tables[FIX_SLOTS];

static u64 table_bytes(u64 end, u64 entry_maps)
{
	u64 entries = (end + entry_maps - 1) / entry_maps;

	return (entries * sizeof(u64) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ull);
}

/* Takes what the tables of [0, end) need at most. */
void find_early_table_space(u64 end)
{
	u64 bytes = table_bytes(end, PUD_SIZE);

	if (!use_gbpages)
		bytes += table_bytes(end, PMD_SIZE);
	if (!use_pse)
		bytes += table_bytes(end, PAGE_SIZE);
	if (boot_settings.table_space_high)
		table_next = find_e820_area_top(TABLE_SPACE_FROM, MAXMEM, bytes);
	else
		table_next = find_e820_area(TABLE_SPACE_FROM, end, bytes);
	if (!table_next) {
		print("Cannot find space for the kernel page tables: %d kB\n", bytes / 1024);
		fail();
	}
	table_end = table_next + bytes;
	reserve_memory(table_next, table_end);
	print("table space: %x-%x for memory up to %x\n", table_next, table_end, end);
	paging->table_space_found(table_next, table_end);
}

void release_table_space(void)
{
	paging->table_space_left(table_next, table_end);
}

/* A page of the normal allocator, which here only ever gives. */
static u64 alloc_bootmem_page(void)
{
	static u64 next = TABLE_SPACE_FROM;
	u64 page = find_e820_area(next, MAXMEM, PAGE_SIZE);

	next = page + PAGE_SIZE;
	return page;
}

/* A zeroed page for a table of `level` (1 to 3): where it can be written until it is attached. */
u64 *alloc_low_page(unsigned level, u64 *physical)
{
	u64 *table;

	if (after_bootmem) {
		*physical = alloc_bootmem_page();
		table = __va(*physical);
	} else {
		if (table_next == table_end) {
			print("alloc_low_page: the table space is used up\n");
			fail();
		}
		*physical = table_next;
		table_next += PAGE_SIZE;
		table = early_ioremap(FIX_TABLE(level), *physical);
	}
	record_table_page(level, *physical);
	new_tables[level] = table;
	return memset(table, 0, PAGE_SIZE);
}

/* Drops the alias of the level's new page: from here on nobody can write it through the fixmap. */
void unmap_low_page(unsigned level)
{
	new_tables[level] = NULL;
	if (after_bootmem)
		return;
	early_iounmap(FIX_TABLE(level));
	record_alias_dropped(level);
}
