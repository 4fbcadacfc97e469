/* The C part of a boot on bare hardware: what the loader left is put aside, and what is mapped to start with made. */
#include "../common/idt.h"
#include "../common/io.h"
#include "../common/memory.h"
#include "../common/print.h"
#include "../common/serial.h"
#include "direct_map.h"
#include "paging_hooks.h"

/* The longest command line of the boot protocol. */
#define COMMAND_LINE_SIZE 2048

void fail(void)
{
	outl(DEBUG_EXIT_PORT, 1);
	halt();
}

void succeed(void)
{
	outl(DEBUG_EXIT_PORT, 0);
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
	write_cr3(__pa_symbol(init_level4_pgt));
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

void __attribute__((noreturn)) x86_64_start_kernel(u64 real_mode_data)
{
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
	map_memory(0);
	report_outcome(check_table_pages() + check_existing_entries() + check_direct_map());
}
