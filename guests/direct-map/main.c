/* The steps of every boot, between what its entry prepares and the end of the machine. */
#include "../common/print.h"
#include "direct_map.h"

/* The loader writes here before the program starts: see direct_map.h. */
struct boot_settings boot_settings __attribute__((section(".data"))) = {
	.page_offset = 0xffff880000000000,
	.variant = NATIVE_GBPAGES,
};

struct boot_params boot_params;
int use_pse, use_gbpages;
u64 supported_pte_mask = ~0ull;

void probe_cpu(void)
{
	u32 a, b, c, d;

	cpuid(CPUID_EXTENDED, &a, &b, &c, &d);
	if (!(d & CPUID_NX))
		supported_pte_mask = ~_PAGE_NX;
	use_pse = boot_settings.variant == NATIVE_GBPAGES || boot_settings.variant == NATIVE;
	use_gbpages = boot_settings.variant == NATIVE_GBPAGES && (d & CPUID_GBPAGES);
	if (boot_settings.variant == NATIVE_GBPAGES && !use_gbpages)
		print("this CPU has no pages of 1 GiB: 2 MiB have to do\n");
}

/* All of memory at once, or the upper half once there is a page allocator, as for memory that comes later. */
void map_memory(u64 mapped)
{
	u64 end = e820_end_of_ram(), mapped_end;

	if (boot_settings.after_bootmem) {
		u64 half = (end / 2) & ~(PAGE_SIZE - 1ull);

		/* The first pass clears what exists behind its end. */
		if (half < mapped)
			half = mapped;
		mapped_end = init_memory_mapping(0, half);
		print("init_memory_mapping: 0-%x, mapped up to %x\n", half, mapped_end);
		after_bootmem = 1;
		mapped_end = init_memory_mapping(half, end);
		print("init_memory_mapping: %x-%x after bootmem, mapped up to %x\n", half, end, mapped_end);
	} else {
		mapped_end = init_memory_mapping(0, end);
		print("init_memory_mapping: 0-%x, mapped up to %x\n", end, mapped_end);
	}
}

void report_outcome(u64 problems)
{
	print_meminfo();
	if (problems) {
		print("failed\n");
		fail();
	}
	print("ok\n");
	succeed();
}
