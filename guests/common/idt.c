#include "idt.h"
#include "paging.h"

#define GATE_INTERRUPT 0x8e	/* present, DPL 0, 64-bit interrupt gate */

struct gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type;
	u16 offset_middle;
	u32 offset_high;
	u32 reserved;
};

static struct gate idt[EXCEPTIONS];

void set_intr_gate(unsigned vector, const void *handler)
{
	u64 offset = (u64)handler;

	idt[vector] = (struct gate){
		.offset_low = offset,
		.selector = __KERNEL_CS,
		.type = GATE_INTERRUPT,
		.offset_middle = offset >> 16,
		.offset_high = offset >> 32,
	};
}

void load_idt(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) descriptor = { sizeof(idt) - 1, (u64)idt };

	asm volatile("lidt %0" : : "m"(descriptor));
}
