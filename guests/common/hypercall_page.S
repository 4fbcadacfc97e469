/*
 * The page that the hypervisor fills with its code, a slot of 32 bytes for each hypercall, before the first instruction
 * runs. Names and frame information are ours, so that a debugger shows who called what.
 */
.macro HYPERCALL_SLOT
	.cfi_startproc
#ifdef __x86_64__
	/* push rcx; push r11; mov eax, n; syscall; pop r11; pop rcx; ret */
	.skip	1
	.cfi_adjust_cfa_offset 8
	.skip	2
	.cfi_adjust_cfa_offset 8
	.skip	9
	.cfi_adjust_cfa_offset -8
	.skip	1
	.cfi_adjust_cfa_offset -8
	.skip	19
#else
	/* mov eax, n; int 0x82; ret */
	.skip	32
#endif
	.cfi_endproc
.endm

.macro HYPERCALL number name
	.set	xen_hypercall_\name, hypercall_page + \number * 32
	.type	xen_hypercall_\name, @function
	.size	xen_hypercall_\name, 32
.endm

	.section .text.hypercall_page, "ax"
	.balign 4096
	.globl hypercall_page
	.type hypercall_page, @function
hypercall_page:
	.rept	128
	HYPERCALL_SLOT
	.endr
	.size hypercall_page, 0

HYPERCALL 0 set_trap_table
HYPERCALL 1 mmu_update
HYPERCALL 2 set_gdt
HYPERCALL 3 stack_switch
HYPERCALL 4 set_callbacks
HYPERCALL 12 memory_op
HYPERCALL 13 multicall
HYPERCALL 14 update_va_mapping
HYPERCALL 17 xen_version
HYPERCALL 18 console_io
HYPERCALL 23 iret
HYPERCALL 24 vcpu_op
HYPERCALL 26 mmuext_op
HYPERCALL 29 sched_op
