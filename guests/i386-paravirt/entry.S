/*
 * Exceptions, and probes: accesses that may fault. Each of the 32 gates leads to a stub of 16 bytes that makes the
 * frame uniform: with an error code, real or 0, and the vector.
 */
#include "i386_paravirt.h"
#include "pgtable.h"

#define HYPERCALL_iret 23

/* Vectors for which the CPU pushes an error code: 8, 10 to 14, 17, 21. */
#define ERROR_CODE_VECTORS ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21))

	/* Frame information where C puts its own, so that a debugger unwinds through both. */
	.cfi_sections .debug_frame

	.text
	.code32

	.balign 16
	.globl idt_handlers
	.type idt_handlers, @object
idt_handlers:
	.set	.Lvector, 0
	.rept	32
	.balign 16
	.cfi_startproc
	.cfi_signal_frame
	/* There is no change of privilege, hence no ESP: the interrupted stack begins behind EFLAGS. */
	.if	(ERROR_CODE_VECTORS >> .Lvector) & 1
	.cfi_def_cfa esp, 4 * 4
	.cfi_offset eip, -3 * 4
	.else
	.cfi_def_cfa esp, 3 * 4
	.cfi_offset eip, -3 * 4
	pushl	$0
	.cfi_adjust_cfa_offset 4
	.endif
	pushl	$.Lvector
	.cfi_adjust_cfa_offset 4
	jmp	exception
	.cfi_endproc
	.set	.Lvector, .Lvector + 1
	.endr
	.size idt_handlers, . - idt_handlers

	.balign 16
	.type exception, @function
exception:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa esp, 5 * 4
	.cfi_offset eip, -3 * 4
	cld
	pushal
	.cfi_adjust_cfa_offset 8 * 4
	.cfi_rel_offset eax, 7 * 4
	.cfi_rel_offset ecx, 6 * 4
	.cfi_rel_offset edx, 5 * 4
	.cfi_rel_offset ebx, 4 * 4
	.cfi_rel_offset ebp, 2 * 4
	.cfi_rel_offset esi, 1 * 4
	.cfi_rel_offset edi, 0 * 4
	pushl	%esp
	.cfi_adjust_cfa_offset 4
	call	handle_exception
	addl	$4, %esp
	.cfi_adjust_cfa_offset -4
	popal
	.cfi_adjust_cfa_offset -8 * 4
	addl	$8, %esp		/* vector and error code */
	.cfi_adjust_cfa_offset -8
#ifdef XEN
	/* The events that the hypervisor let through before are part of what it restores. */
	jmp	hypercall_page + (HYPERCALL_iret << HYPERCALL_SHIFT)
#else
	iret
#endif
	.cfi_endproc
	.size exception, . - exception

	.globl probe_read_pages
	.type probe_read_pages, @function
probe_read_pages:
	.cfi_startproc
	movl	4(%esp), %edx
	movl	8(%esp), %ecx
	movl	$1f, probe_instruction
	movl	$2f, probe_fixup
1:	movl	(%edx), %eax
	addl	$PAGE_SIZE, %edx
	decl	%ecx
	jnz	1b
2:	movl	8(%esp), %eax
	subl	%ecx, %eax
	ret
	.cfi_endproc
	.size probe_read_pages, . - probe_read_pages

	/* What is called is to return at once. */
	.globl probe_call
	.type probe_call, @function
probe_call:
	.cfi_startproc
	movl	4(%esp), %edx
	movl	%edx, probe_instruction
	movl	$1f, probe_fixup
	movl	$NO_FAULT, %eax
	call	*%edx
	ret
	/* The call has left its return address, and nobody has taken it. */
1:	.cfi_adjust_cfa_offset 4
	addl	$4, %esp
	.cfi_adjust_cfa_offset -4
	ret
	.cfi_endproc
	.size probe_call, . - probe_call

	.section .note.GNU-stack, "", @progbits
