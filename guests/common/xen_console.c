/* Text on the hypervisor's console, a line at a time; and the end of the domain. */
#include "console.h"
#include "xen.h"

#define LINE 128

static char line[LINE];
static unsigned length;

void console_put(char c)
{
	line[length++] = c;
	if (c != '\n' && length < LINE)
		return;
	hypercall(HYPERCALL_console_io, 0, length, (xen_word)line, 0);
	length = 0;
}

void shut_down(u32 reason)
{
	hypercall(HYPERCALL_sched_op, SCHEDOP_shutdown, (xen_word)&reason, 0, 0);
	for (;;)
		asm volatile("hlt");
}
