#include "e820.h"
#include "paging.h"
#include "print.h"
#include "io.h"

static struct range reserved[8];
static unsigned reserved_count;

static u64 page_down(u64 address)
{
	return address & ~(PAGE_SIZE - 1ull);
}

static u64 page_up(u64 address)
{
	return page_down(address + PAGE_SIZE - 1);
}

struct range ram_of(const struct e820_entry *entry)
{
	u64 start = page_up(entry->address);
	u64 end = page_down(entry->address + entry->size);

	if (entry->type != E820_RAM || start >= MAXMEM || start >= end)
		return (struct range){ 0, 0 };
	return (struct range){ start, end < MAXMEM ? end : MAXMEM };
}

u64 e820_end_of_ram(void)
{
	u64 end = 0;

	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_of(&boot_params.e820_table[i]);

		if (ram.end > end)
			end = ram.end;
	}
	return end;
}

int e820_any_ram(u64 start, u64 end)
{
	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_of(&boot_params.e820_table[i]);

		if (ram.start < end && start < ram.end)
			return 1;
	}
	return 0;
}

void reserve_memory(u64 start, u64 end)
{
	if (reserved_count == ARRAY_SIZE(reserved)) {
		print("too many reserved ranges\n");
		halt();
	}
	reserved[reserved_count++] = (struct range){ start, end };
}

/* A reserved range that overlaps [start, end); NULL where there is none. */
static const struct range *overlapping(u64 start, u64 end)
{
	for (unsigned i = 0; i < reserved_count; i++) {
		if (start < reserved[i].end && reserved[i].start < end)
			return &reserved[i];
	}
	return NULL;
}

/* The RAM of entry `i` within [from, below); empty where there is none. */
static struct range ram_within(unsigned i, u64 from, u64 below)
{
	struct range ram = ram_of(&boot_params.e820_table[i]);

	if (ram.start < from)
		ram.start = page_up(from);
	if (ram.end > below)
		ram.end = page_down(below);
	return ram;
}

u64 find_e820_area(u64 from, u64 below, u64 size)
{
	u64 best = 0;

	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_within(i, from, best ? best : below);

		while (ram.start < ram.end && ram.end - ram.start >= size) {
			const struct range *other = overlapping(ram.start, ram.start + size);

			if (!other) {
				best = ram.start;
				break;
			}
			ram.start = page_up(other->end);
		}
	}
	return best;
}

u64 find_e820_area_top(u64 from, u64 below, u64 size)
{
	u64 best = 0;

	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_within(i, best ? best : from, below);

		while (ram.start < ram.end && ram.end - ram.start >= size) {
			const struct range *other = overlapping(ram.end - size, ram.end);

			if (!other) {
				best = ram.end - size;
				break;
			}
			ram.end = page_down(other->start);
		}
	}
	return best;
}
