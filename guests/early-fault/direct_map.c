/*
 * The final tables: all RAM at __PAGE_OFFSET, out of init_level4_pgt.
 *
 * Their pages come from the top of free memory, and are reached through the direct map that is still being made by
 * faults. So building the tables that end the early ones makes the early ones grow.
 */
#include "../common/io.h"
#include "../common/memory.h"
#include "../common/print.h"
#include "early_fault.h"

#define CPUID_EXTENDED 0x80000001
#define CPUID_NX (1u << 20)
#define CPUID_GBPAGES (1u << 26)

/* What the allocator must leave alone, besides everything below 1 MiB. */
static struct range reserved[8];
static unsigned reserved_count;

/* Pages below here, and in RAM, may still be free. */
static u64 allocation_top;
static u32 tables_made;
static int use_gbpages;
static u64 supported_pte_mask = ~0ull;

void reserve_memory(u64 start, u64 end)
{
	if (reserved_count < ARRAY_SIZE(reserved))
		reserved[reserved_count++] = (struct range){ start, end };
}

/* The end of the reserved range that a page overlaps, as the address below which to look further; 0 for none. */
static u64 overlapping(u64 page)
{
	for (unsigned i = 0; i < reserved_count; i++) {
		if (page < reserved[i].end && page + PAGE_SIZE > reserved[i].start)
			return reserved[i].start & ~(PAGE_SIZE - 1ull);
	}
	return 0;
}

struct range ram_of(const struct e820_entry *entry)
{
	u64 start = (entry->address + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ull);
	u64 end = (entry->address + entry->size) & ~(PAGE_SIZE - 1ull);

	if (entry->type != E820_RAM || start >= MAXMEM || start >= end)
		return (struct range){ 0, 0 };
	return (struct range){ start, end < MAXMEM ? end : MAXMEM };
}

/* The highest RAM range that begins below `top`. */
static struct range highest_ram_below(u64 top)
{
	struct range best = { 0, 0 };

	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_of(&boot_params.e820_table[i]);

		if (ram.start >= ram.end || ram.start >= top || ram.start < best.start)
			continue;
		best = (struct range){ ram.start, ram.end < top ? ram.end : top };
	}
	return best;
}

/* A zeroed page of free memory: its physical address. */
static u64 alloc_page(void)
{
	for (;;) {
		struct range ram = highest_ram_below(allocation_top);
		u64 page = ram.end - PAGE_SIZE, next;

		if (ram.end <= 0x100000) {
			print("out of memory for page tables\n");
			halt();
		}
		next = overlapping(page);
		if (next || page < ram.start) {
			allocation_top = next ? next : ram.start;
			continue;
		}
		allocation_top = page;
		memset(__va(page), 0, PAGE_SIZE);
		tables_made++;
		return page;
	}
}

/* The table that an entry leads to; made where there is none. */
static u64 *next_table(u64 *entry)
{
	if (!(*entry & _PAGE_PRESENT))
		*entry = alloc_page() | _KERNPG_TABLE;
	return __va(*entry & PTE_PFN_MASK);
}

static int fits(u64 physical, u64 end, u64 size)
{
	return !(physical & (size - 1)) && end - physical >= size;
}

/* Maps physical memory with the largest pages that fit; both ends are page aligned. */
static void map_range(u64 physical, u64 end)
{
	while (physical < end) {
		u64 address = (u64)__va(physical);
		u64 *pud = &next_table(&init_level4_pgt[pgd_index(address)])[pud_index(address)];
		u64 *pmd;

		if (use_gbpages && fits(physical, end, PUD_SIZE)) {
			*pud = (physical | __PAGE_KERNEL_LARGE) & supported_pte_mask;
			physical += PUD_SIZE;
			continue;
		}
		pmd = &next_table(pud)[pmd_index(address)];
		if (fits(physical, end, PMD_SIZE)) {
			*pmd = (physical | __PAGE_KERNEL_LARGE) & supported_pte_mask;
			physical += PMD_SIZE;
			continue;
		}
		next_table(pmd)[pte_index(address)] = (physical | __PAGE_KERNEL) & supported_pte_mask;
		physical += PAGE_SIZE;
	}
}

void build_direct_map(void)
{
	u32 a, b, c, d;

	cpuid(CPUID_EXTENDED, &a, &b, &c, &d);
	use_gbpages = boot_settings.gbpages && (d & CPUID_GBPAGES);
	if (!(d & CPUID_NX))
		supported_pte_mask = ~_PAGE_NX;

	allocation_top = MAXMEM;
	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_of(&boot_params.e820_table[i]);

		map_range(ram.start, ram.end);
	}
	print("direct map: %d table pages\n", (u64)tables_made);
}
