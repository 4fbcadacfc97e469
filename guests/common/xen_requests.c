/* Requests to the hypervisor. What it refuses ends the program: nothing here is asked for twice. */
#include "xen64.h"

static void require(long result, const char *what)
{
	if (result < 0)
		FAIL("the hypervisor refused %s: error %d\n", what, (u64)-result);
}

void update_entries(const struct mmu_update *updates, u64 count)
{
	require(hypercall(HYPERCALL_mmu_update, (xen_word)updates, count, 0, DOMID_SELF), "an update of a table");
}

void update_entry(u64 machine_address, u64 value)
{
	struct mmu_update update = { machine_address | MMU_NORMAL_PT_UPDATE, value };

	update_entries(&update, 1);
}

void update_va(const void *address, u64 value, unsigned flags)
{
	require(hypercall(HYPERCALL_update_va_mapping, (xen_word)address, value, flags, 0), "an update of a mapping");
}

void mmuext(unsigned command, u64 arg)
{
	struct mmuext_op operation = { .cmd = command, .arg1 = arg };
	const char *what = command == MMUEXT_UNPIN_TABLE ? "to unpin a table"
			   : command == MMUEXT_NEW_BASEPTR ? "a base pointer"
			   : command <= MMUEXT_PIN_L4_TABLE ? "to pin a table"
							    : "to flush translations";

	require(hypercall(HYPERCALL_mmuext_op, (xen_word)&operation, 1, 0, DOMID_SELF), what);
}

#define FLAT_KERNEL_CS 0xe033

void set_traps(void)
{
	struct trap_info traps[33];
	unsigned n = 0;

	for (unsigned vector = 0; vector < 32; vector++) {
		if (trap_entries[vector])
			traps[n++] = (struct trap_info){ vector, 0, FLAT_KERNEL_CS, trap_entries[vector] };
	}
	traps[n] = (struct trap_info){ 0, 0, 0, 0 };
	require(hypercall(HYPERCALL_set_trap_table, (xen_word)traps, 0, 0, 0), "the trap table");
}

/* The frame as the hypervisor pushes it: rcx, r11, the error code where there is one, rip. */
void report_trap(const u64 *frame, unsigned vector, unsigned has_error)
{
	u64 error = has_error ? frame[2] : 0, rip = frame[2 + has_error];

	if (vector == 14)
		FAIL("page fault at %x, error %x, by %x\n", read_cr2(), error, rip);
	FAIL("exception %d, error %x, by %x\n", (u64)vector, error, rip);
}
