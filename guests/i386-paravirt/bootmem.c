/* What memory there is, and the boot allocator: a bitmap of low memory, in which a set bit is a page that is taken. */
#include "../common/memory.h"
#include "i386_paravirt.h"

u32 max_pfn, max_low_pfn;

static u8 *bootmem_map;
/* No page from here on was handed out. */
static u32 bootmem_next;

static int is_taken(u32 pfn)
{
	return bootmem_map[pfn / 8] & 1 << pfn % 8;
}

static void mark(u32 pfn, int taken)
{
	if (taken)
		bootmem_map[pfn / 8] |= 1 << pfn % 8;
	else
		bootmem_map[pfn / 8] &= ~(1 << pfn % 8);
}

/* Whole bytes of the bitmap at once, since memory is large. */
static void mark_range(u32 first, u32 end, int taken)
{
	while (first < end) {
		u32 bytes = (end - first) / 8;

		if (first % 8 || !bytes) {
			mark(first++, taken);
			continue;
		}
		memset(bootmem_map + first / 8, taken ? 0xff : 0, bytes);
		first += bytes * 8;
	}
}

/* Memory as the machine tells of it: a handful of ranges. */
#define MAX_RAM 64
static struct {
	u64 start, end;
} ram[MAX_RAM];
static u32 ram_ranges;

void add_ram(u64 start, u64 end)
{
	if (ram_ranges == MAX_RAM)
		FAIL("memory has more than %d ranges\n", (u64)MAX_RAM);
	ram[ram_ranges].start = start;
	ram[ram_ranges++].end = end;
}

/* The whole pages of a range, below a page; none where first is not below end. */
struct pages {
	u32 first, end;
};

static struct pages pages_of(u32 range, u32 limit)
{
	u64 first = (ram[range].start + PAGE_SIZE - 1) >> PAGE_SHIFT;
	u64 end = ram[range].end >> PAGE_SHIFT;

	if (first >= limit)
		return (struct pages){ 0, 0 };
	return (struct pages){ first, end < limit ? end : limit };
}

static u32 highest_ram(u32 limit)
{
	u32 highest = 0;

	for (u32 i = 0; i < ram_ranges; i++) {
		u32 end = pages_of(i, limit).end;

		if (end > highest)
			highest = end;
	}
	return highest;
}

static void init_bootmem(void)
{
	u32 size = (max_low_pfn + 7) / 8;

	/* All taken, RAM released, and what lies below the bitmap's end taken again: the kernel and its first tables. */
	bootmem_map = __va(init_pg_tables_end);
	memset(bootmem_map, 0xff, size);
	for (u32 i = 0; i < ram_ranges; i++) {
		struct pages pages = pages_of(i, max_low_pfn);

		mark_range(pages.first, pages.end, 0);
	}
	bootmem_next = PFN(init_pg_tables_end + size + PAGE_SIZE - 1);
	mark_range(0, bootmem_next, 1);
}

void setup_memory(void)
{
	u32 limit = MAXMEM;

	if (boot_settings.low_end && boot_settings.low_end < MAXMEM)
		limit = boot_settings.low_end;
	max_pfn = highest_ram(~0u);
	max_low_pfn = highest_ram(PFN(limit));
	init_bootmem();
	print("low memory ends at %x, memory at %x\n", (u64)max_low_pfn << PAGE_SHIFT, (u64)max_pfn << PAGE_SHIFT);
}

/* How many pages from one on are free, up to a number. */
static u32 free_run(u32 pfn, u32 wanted)
{
	u32 count = 0;

	while (count < wanted && pfn + count < max_low_pfn && !is_taken(pfn + count))
		count++;
	return count;
}

void *alloc_bootmem_low_pages(u32 size)
{
	u32 wanted = PFN(size + PAGE_SIZE - 1);

	for (u32 pfn = bootmem_next; pfn + wanted <= max_low_pfn; pfn++) {
		void *pages = __va(pfn * PAGE_SIZE);

		if (free_run(pfn, wanted) < wanted)
			continue;
		/* Only what is mapped by now is there for sure. */
		if ((pfn + wanted) * PAGE_SIZE > init_map_end)
			break;
		mark_range(pfn, pfn + wanted, 1);
		bootmem_next = pfn + wanted;
		memset(pages, 0, wanted * PAGE_SIZE);
		return pages;
	}
	return NULL;
}

u32 bootmem_end(void)
{
	return bootmem_next * PAGE_SIZE;
}
