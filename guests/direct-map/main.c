/* The C part of the boot, from the first line to the end of the machine. */
#include "../common/idt.h"
#include "../common/io.h"
#include "../common/memory.h"
#include "../common/print.h"
#include "../common/serial.h"
#include "direct_map.h"
#include "paging_hooks.h"

/* The longest command line of the boot protocol. */
#define COMMAND_LINE_SIZE 2048

/* The loader writes here before the program starts: see direct_map.h. */
struct boot_settings boot_settings __attribute__((section(".data"))) = {
	.page_offset = 0xffff880000000000,
	.variant = NATIVE_GBPAGES,
};

struct boot_params boot_params;
int use_pse, use_gbpages;
u64 supported_pte_mask = ~0ull;

void fail(void)
{
	outl(DEBUG_EXIT_PORT, 1);
	halt();
}

void report_page_fault(u64 cr2, u64 error, u64 rip)
{
	print("page fault at %x, error %x, rip %x\n", cr2, error, rip);
	fail();
}

static void clear_bss(void)
{
	memset((void *)__bss_start, 0, __bss_stop - __bss_start);
}

/* The trampoline of head.S is one entry of the root's lower half. */
static void drop_trampoline(void)
{
	u64 *entry = &init_level4_pgt[pgd_index(__pa_symbol(_text))];

	paging->set_entry(entry, 0, 4);
	paging->write_cr3(__pa_symbol(init_level4_pgt));
}

/* The loader's data lie somewhere in memory that is not mapped yet. */
static void copy_bootdata(u64 real_mode_data)
{
	u64 command_line;

	early_memcpy(&boot_params, real_mode_data, sizeof(boot_params));
	command_line = command_line_address(&boot_params);
	reserve_memory(real_mode_data, real_mode_data + sizeof(boot_params));
	reserve_memory(command_line, command_line + COMMAND_LINE_SIZE);
	reserve_memory(__pa_symbol(_text), __pa_symbol(_end));
}

static void probe_cpu(void)
{
	u32 a, b, c, d;

	cpuid(CPUID_EXTENDED, &a, &b, &c, &d);
	if (!(d & CPUID_NX))
		supported_pte_mask = ~_PAGE_NX;
	use_pse = boot_settings.variant != NATIVE_NOPSE;
	use_gbpages = boot_settings.variant == NATIVE_GBPAGES && (d & CPUID_GBPAGES);
	if (boot_settings.variant == NATIVE_GBPAGES && !use_gbpages)
		print("this CPU has no pages of 1 GiB: 2 MiB have to do\n");
}

/* All of memory at once, or the upper half once there is a page allocator, as for memory that comes later. */
static void map_memory(void)
{
	u64 end = e820_end_of_ram(), mapped_end;

	if (boot_settings.after_bootmem) {
		u64 half = (end / 2) & ~(PAGE_SIZE - 1ull);

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

void __attribute__((noreturn)) x86_64_start_kernel(u64 real_mode_data)
{
	u64 problems;

	drop_trampoline();
	clear_bss();
	serial_init();
	set_intr_gate(PAGE_FAULT, final_page_fault);
	load_idt();

	probe_cpu();
	cleanup_highmap();
	copy_bootdata(real_mode_data);
	map_lowest_memory();
	make_existing_entries();
	map_memory();

	problems = check_table_pages() + check_existing_entries() + check_direct_map();
	print_meminfo();
	if (problems) {
		print("failed\n");
		fail();
	}
	print("ok\n");
	outl(DEBUG_EXIT_PORT, 0);
	halt();
}
