/* The C part of the boot, from the first line to the end of the machine. */
#include "../common/io.h"
#include "../common/memory.h"
#include "../common/print.h"
#include "../common/serial.h"
#include "early_fault.h"

/* The loader writes here before the program starts: see early_fault.h. */
struct boot_settings boot_settings __attribute__((section(".data"))) = {
	.pool = EARLY_DYNAMIC_PAGE_TABLES,
	.gbpages = 1,
};

struct boot_params boot_params __attribute__((section(".bss.bootdata")));
char boot_command_line[COMMAND_LINE_SIZE] __attribute__((section(".bss.bootdata")));

static void clear_bss(void)
{
	memset((void *)__bss_start, 0, __bss_stop - __bss_start);
}

/*
 * Up to the NUL, or to where `to` is full but for a byte: how many characters. Nothing beyond the NUL is touched, since
 * it may lie in a GiB that nobody has to map.
 */
static u64 copy_string(char *to, const char *from, u64 size)
{
	u64 length = 0;

	while (length < size - 1 && from[length]) {
		to[length] = from[length];
		length++;
	}
	return length;
}

/* The first touches of the direct map, wherever in memory the loader has put its data. */
static void copy_bootdata(u64 real_mode_data)
{
	u64 command_line, length = 0;

	memcpy(&boot_params, __va(real_mode_data), sizeof(boot_params));
	command_line = command_line_address(&boot_params);
	if (command_line)
		length = copy_string(boot_command_line, __va(command_line), COMMAND_LINE_SIZE);
	boot_command_line[length] = 0;
	print("command line: %s\n", boot_command_line);
	reserve_memory(real_mode_data, real_mode_data + sizeof(boot_params));
	reserve_memory(command_line, command_line + length + 1);
}

/* The highest address of the direct map can never be backed: the handler declines, and the exception table helps. */
static void probe_beyond_memory(void)
{
	u64 value;

	if (probe_kernel_address(__va(MAXMEM), &value))
		print("probe: read %x beyond the direct map\n", value);
	else
		print("probe: nothing beyond the direct map\n");
}

/*
 * From here to the last one of these lines nothing may need the early handler: the CPU walks init_level4_pgt, and a
 * mapping made in early_level4_pgt helps nobody.
 */
static void switch_to_init_tables(void)
{
	write_cr3(__pa_symbol(init_level4_pgt));
	flush_global_tlb();
}

/* Touches memory that no table maps, while the early handler is still installed. */
static void stray_access(void)
{
	volatile u64 *stray = __va(MAXMEM - PUD_SIZE);

	print("stray access to %x\n", (u64)stray);
	(void)*stray;
}

static u64 check_memory(void)
{
	u64 ranges = 0;

	for (unsigned i = 0; i < boot_params.e820_entries; i++) {
		struct range ram = ram_of(&boot_params.e820_table[i]);

		if (ram.start >= ram.end)
			continue;
		(void)*(volatile u64 *)__va(ram.start);
		ranges++;
	}
	return ranges;
}

void __attribute__((noreturn)) x86_64_start_kernel(u64 real_mode_data)
{
	u64 ramdisk, size, ranges;

	/* The identity map has done its duty. */
	reset_early_page_tables();
	clear_bss();
	load_early_idt();
	serial_init();

	copy_bootdata(real_mode_data);
	ramdisk = ramdisk_address(&boot_params);
	size = ramdisk_bytes(&boot_params);
	if (size)
		scan_ramdisk(ramdisk, size);
	probe_beyond_memory();

#ifndef PROTOTYPE
	/* In data, not in BSS: whoever put it there may have left something. */
	memset(init_level4_pgt, 0, PAGE_SIZE);
#endif
	init_level4_pgt[L4_START_KERNEL] = early_level4_pgt[L4_START_KERNEL];

	reserve_memory(__pa_symbol(_text), __pa_symbol(_end));
	reserve_memory(ramdisk, ramdisk + size);
	build_direct_map();

	print("early tables: %d faults, %d resets\n", (u64)early_pgt_faults, (u64)early_pgt_resets);
	switch_to_init_tables();
	if (boot_settings.stray)
		stray_access();
	install_final_page_fault();

	ranges = check_memory();
	print("checked %d ranges of memory\nok\n", ranges);
	outl(DEBUG_EXIT_PORT, 0);
	halt();
}
