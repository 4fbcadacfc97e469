/* A machine of its own: how PVH enters C, the memory map that it hands over, the IDT, and the way out. */
#include "../common/io.h"
#include "../common/serial.h"
#include "hvm_start_info.h"
#include "i386_paravirt.h"
#include "paging_hooks.h"

#define GATE_INTERRUPT 0x8e	/* present, DPL 0, 32-bit interrupt gate */

struct gate {
	u16 offset_low;
	u16 selector;
	u8 zero;
	u8 type;
	u16 offset_high;
};

static struct gate idt[EXCEPTIONS];

static void load_idt(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) descriptor = { sizeof(idt) - 1, (u32)idt };

	for (unsigned vector = 0; vector < EXCEPTIONS; vector++) {
		u32 offset = (u32)idt_handlers[vector];

		idt[vector] = (struct gate){
			.offset_low = offset,
			.selector = __KERNEL_CS,
			.type = GATE_INTERRUPT,
			.offset_high = offset >> 16,
		};
	}
	asm volatile("lidt %0" : : "m"(descriptor));
}

static void read_memory_map(const struct hvm_start_info *info)
{
	const struct hvm_memmap_table_entry *map;

	if (info->magic != HVM_START_MAGIC || info->version < 1)
		FAIL("hvm_start_info has no memory map\n");
	map = __va(info->memmap_paddr);
	for (u32 i = 0; i < info->memmap_entries; i++) {
		if (map[i].type == HVM_MEMMAP_TYPE_RAM)
			add_ram(map[i].addr, map[i].addr + map[i].size);
	}
}

void __attribute__((noreturn)) i386_start_kernel(u32 start_info)
{
	paging_hooks = native_paging_hooks;
	load_idt();
	serial_init();
	read_memory_map(__va(start_info));
	start_kernel();
}

void end_machine(enum end end)
{
	outl(DEBUG_EXIT_PORT, end == END_FAILED);
	halt();
}
