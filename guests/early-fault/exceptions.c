/* The early IDT, the table of reads that may fault, and what is said when nothing can be done. */
#include "../common/idt.h"
#include "../common/io.h"
#include "../common/print.h"
#include "early_fault.h"

void load_early_idt(void)
{
	for (unsigned vector = 0; vector < EXCEPTIONS; vector++)
		set_intr_gate(vector, early_idt_handlers[vector]);
	load_idt();
}

void install_final_page_fault(void)
{
	set_intr_gate(PAGE_FAULT, final_page_fault);
}

/* An instruction that may fault, and where to go on when it does. */
struct exception_table_entry {
	u64 instruction;
	u64 fixup;
};

extern const struct exception_table_entry __start___ex_table[], __stop___ex_table[];

/* Called by the exception path: true where `ip` was moved to a fixup. */
int early_fixup_exception(u64 *ip)
{
	const struct exception_table_entry *entry;

	for (entry = __start___ex_table; entry < __stop___ex_table; entry++) {
		if (entry->instruction == *ip) {
			*ip = entry->fixup;
			return 1;
		}
	}
	return 0;
}

int probe_kernel_address(const void *address, u64 *value)
{
	int ok = 1;

	asm volatile("1:	movq (%2), %1\n"
		     "	jmp 3f\n"
		     "2:	xorl %0, %0\n"
		     "3:\n"
		     "	.pushsection __ex_table, \"a\"\n"
		     "	.quad 1b, 2b\n"
		     "	.popsection\n"
		     : "+r"(ok), "=&r"(*value)
		     : "r"(address));
	return ok;
}

void __attribute__((noreturn)) early_panic(u64 vector, u64 cs, u64 rip, u64 error, u64 cr2)
{
	print("PANIC: early exception %x rip %x:%x error %x cr2 %x\n", vector, cs, rip, error, cr2);
	halt();
}

void report_page_fault(u64 cr2, u64 error, u64 rip)
{
	print("page fault at %x, error %x, rip %x, after the switchover\n", cr2, error, rip);
	halt();
}
