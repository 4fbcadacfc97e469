/* What becomes of an exception: a probe hears of its page fault, all else ends the machine. */
#include "cpu.h"
#include "i386_paravirt.h"

#define PAGE_FAULT 14

/* What entry.S leaves on the stack. */
struct exception_frame {
	u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
	u32 vector, error;
	u32 eip, cs, eflags;
};

/* Set by a probe: the instruction at which a page fault is expected, and where to go on then. */
u32 probe_instruction, probe_fixup;

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
