/* The IDT, and what becomes of an exception: a probe hears of its page fault, all else ends the machine. */
#include "cpu.h"
#include "i386_paravirt.h"

#define EXCEPTIONS 32
#define GATE_INTERRUPT 0x8e	/* present, DPL 0, 32-bit interrupt gate */
#define PAGE_FAULT 14

struct gate {
	u16 offset_low;
	u16 selector;
	u8 zero;
	u8 type;
	u16 offset_high;
};

static struct gate idt[EXCEPTIONS];

/* What entry.S leaves on the stack. */
struct exception_frame {
	u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
	u32 vector, error;
	u32 eip, cs, eflags;
};

/* Set by a probe: the instruction at which a page fault is expected, and where to go on then. */
u32 probe_instruction, probe_fixup;

void load_idt(void)
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

void handle_exception(struct exception_frame *frame)
{
	if (frame->vector == PAGE_FAULT && frame->eip == probe_instruction) {
		frame->eax = frame->error;
		frame->eip = probe_fixup;
		return;
	}
	FAIL("exception %d at %x, error %x, cr2 %x\n", (u64)frame->vector, (u64)frame->eip, (u64)frame->error,
	     (u64)read_cr2());
}
