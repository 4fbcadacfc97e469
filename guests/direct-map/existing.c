/*
 * Entries that exist in the direct map before init_memory_mapping, as a hypervisor or an earlier stage may leave them:
 * at every level a page, or a table that is not full. They lack G, so that a rewritten one can be told.
 */
#include "../common/print.h"
#include "direct_map.h"
#include "paging_hooks.h"

#define EXISTING_PTES 256
#define NOT_GLOBAL (~_PAGE_GLOBAL)

static table_t level3_ident_pgt __attribute__((aligned(PAGE_SIZE)));
static table_t level2_ident_pgt __attribute__((aligned(PAGE_SIZE)));
static table_t level1_ident_pgt __attribute__((aligned(PAGE_SIZE)));

/* Data at the start of a large page that exists (the linker script sees to that). Taken for a table, it has no present entry: every word is even. */
u64 mapped_data[PTRS_PER_TABLE] __attribute__((section(".bss.mapped_data"), aligned(PAGE_SIZE)));

/* What was made, to be compared. */
static struct {
	u64 *entry;
	u64 value;
} made[EXISTING_PTES + 8];
static unsigned made_count;

static void note(u64 *entry)
{
	made[made_count].entry = entry;
	made[made_count++].value = *entry;
}

static void make_page(u64 *entry, u64 physical, u64 flags, unsigned level)
{
	paging->set_entry(entry, paging->make_entry(physical, flags & NOT_GLOBAL), level);
	note(entry);
}

static void make_link(u64 *entry, const u64 *table, unsigned level)
{
	u64 physical = __pa_symbol(table);

	paging->announce_table(physical, level);
	paging->link_table(entry, physical, level + 1);
	note(entry);
}

/* The direct map shows these from now on. */
static void add_mapped(u64 start, u64 size)
{
	add_initial_range(start, start + size, (u64)__va(start));
}

static u64 datum(unsigned index)
{
	return 0x6174616400000000 | index << 1;
}

/* The large page of `base`, which begins with mapped_data. */
static void make_existing_pmd(u64 base)
{
	for (unsigned i = 0; i < PTRS_PER_TABLE; i++)
		mapped_data[i] = datum(i);
	make_page(&level2_ident_pgt[pmd_index(base)], base, __PAGE_KERNEL_LARGE, 2);
	add_mapped(base, PMD_SIZE);
}

/* The first half of a table of small pages. */
static void make_existing_ptes(u64 start)
{
	for (unsigned i = 0; i < EXISTING_PTES; i++)
		make_page(&level1_ident_pgt[i], start + i * PAGE_SIZE, __PAGE_KERNEL, 1);
	make_link(&level2_ident_pgt[pmd_index(start)], level1_ident_pgt, 1);
	add_mapped(start, EXISTING_PTES * PAGE_SIZE);
}

static void make_existing_pud(u64 start)
{
	u32 a, b, c, d;

	cpuid(CPUID_EXTENDED, &a, &b, &c, &d);
	if (!(d & CPUID_GBPAGES)) {
		print("existing: this CPU has no pages of 1 GiB\n");
		fail();
	}
	make_page(&level3_ident_pgt[pud_index(start)], start, __PAGE_KERNEL_LARGE, 3);
	add_mapped(start, PUD_SIZE);
}

/* Everything lies near the image, where there is memory: each kind beside the next smaller one. */
void make_existing_entries(void)
{
	u64 base = __pa_symbol(mapped_data);
	u32 wanted = boot_settings.existing;

	if (!wanted)
		return;
	if (wanted & EXISTING_PMD)
		make_existing_pmd(base);
	if (wanted & EXISTING_PTE)
		make_existing_ptes(base ^ PMD_SIZE);
	if (wanted & (EXISTING_PMD | EXISTING_PTE))
		make_link(&level3_ident_pgt[pud_index(base)], level2_ident_pgt, 2);
	if (wanted & EXISTING_PUD)
		make_existing_pud((base & ~(PUD_SIZE - 1)) ^ PUD_SIZE);
	make_link(&init_level4_pgt[pgd_index((u64)__va(base))], level3_ident_pgt, 3);
	print("existing: %d entries\n", (u64)made_count);
}

/* An entry may go, where there is no memory; it may not become another. */
u64 check_existing_entries(void)
{
	u64 rewritten = 0, damaged = 0;

	for (unsigned i = 0; i < made_count; i++) {
		u64 now = *made[i].entry;

		if (!(now & _PAGE_PRESENT) || now == made[i].value)
			continue;
		if (!rewritten++)
			print("existing: an entry was rewritten, from %x to %x\n", made[i].value, now);
	}
	for (unsigned i = 0; (boot_settings.existing & EXISTING_PMD) && i < PTRS_PER_TABLE; i++) {
		if (mapped_data[i] == datum(i))
			continue;
		if (!damaged++)
			print("existing: mapped data at %x was overwritten with %x\n", __pa_symbol(&mapped_data[i]), mapped_data[i]);
	}
	if (made_count)
		print("existing: %d entries rewritten, %d words of mapped data overwritten\n", rewritten, damaged);
	return rewritten + damaged;
}
