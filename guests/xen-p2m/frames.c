/*
 * Frames of the domain. The builder has filled the low ones; free memory begins behind. The few free frames of the
 * initial mapping are kept for the first tables, since they are the only ones that can be written already.
 */
#include "xen_p2m.h"

struct range ram[MAX_RAM];
unsigned ram_ranges;

/* Frames that were given back: few runs, since the list and its tables lie together. */
#define MAX_FREED 1024
static struct range freed[MAX_FREED];
static unsigned freed_ranges;

/* Below the kernel, and behind the builder's stack, in the initial mapping. */
static struct range low_tables, padding;
static u64 next_low, next_padding;
/* The run that everything else comes from: tables first. */
static u64 next_frame, first_frame, tables_end, last_frame;

static void find_ram(void)
{
	static struct e820_entry map[MAX_RAM];
	unsigned entries = read_memory_map(map, MAX_RAM);

	for (unsigned i = 0; i < entries; i++) {
		if (map[i].type == E820_RAM)
			ram[ram_ranges++] = (struct range){ map[i].address >> 12, (map[i].address + map[i].size) >> 12 };
	}
}

void memory_init(void)
{
	u64 first = initial_mapping_end();

	find_ram();
	low_tables = (struct range){ 0, __pa(_text) >> 12 };
	padding = (struct range){ builders_end(), first };
	next_low = low_tables.start;
	next_padding = padding.start;
	if (p2m_is_outside())
		first = start_info.first_p2m_pfn + start_info.nr_p2m_frames;
	for (unsigned i = 0; i < ram_ranges; i++) {
		if (ram[i].end > first && ram[i].start <= first) {
			next_frame = first_frame = first;
			last_frame = ram[i].end;
		}
	}
	if (next_frame == last_frame)
		FAIL("no memory is left behind what the domain builder has made\n");
}

u64 free_start(void)
{
	return first_frame;
}

u64 alloc_frames(u64 count)
{
	u64 pfn = next_frame;

	if (last_frame - next_frame < count)
		FAIL("no memory is left for %d pages\n", count);
	next_frame += count;
	return pfn;
}

/* Tables come from what can be written at once, as long as there is any. */
u64 alloc_table_frame(void)
{
	if (next_padding < padding.end)
		return next_padding++;
	if (next_low < low_tables.end)
		return next_low++;
	tables_end = next_frame + 1;
	return alloc_frames(1);
}

static int within(const struct range *range, u64 pfn)
{
	return pfn >= range->start && pfn < range->end;
}

/* The builder's tables, our own, and those that were made. */
int is_table_frame(u64 pfn)
{
	u64 first = __pa((void *)start_info.pt_base) >> 12;
	struct range builders = { first, first + start_info.nr_pt_frames };

	return within(&builders, pfn) || pfn == __pa(init_level4_pgt) >> 12 || pfn == __pa(level3_kernel_pgt) >> 12 ||
	       (pfn >= padding.start && pfn < next_padding) || (pfn >= low_tables.start && pfn < next_low) ||
	       (pfn >= first_frame && pfn < tables_end);
}

void free_frames(u64 pfn, u64 count)
{
	struct range *last = freed_ranges ? &freed[freed_ranges - 1] : NULL;

	if (last && last->end == pfn) {
		last->end += count;
		return;
	}
	if (freed_ranges == MAX_FREED)
		FAIL("too many runs of freed frames\n");
	freed[freed_ranges++] = (struct range){ pfn, pfn + count };
}

u64 free_count(void)
{
	u64 count = last_frame - next_frame + (padding.end - next_padding) + (low_tables.end - next_low);

	for (unsigned i = 0; i < freed_ranges; i++)
		count += freed[i].end - freed[i].start;
	return count;
}

/* Whether a frame was freed: what every check of freed frames asks. */
int is_freed(u64 pfn)
{
	for (unsigned i = 0; i < freed_ranges; i++) {
		if (within(&freed[i], pfn))
			return 1;
	}
	return 0;
}
