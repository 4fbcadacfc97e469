/*
 * Exceptions while booting. Each of the 32 gates leads to a stub of 16 bytes that makes the frame uniform: with an
 * error code, real or 0, and the vector.
 */
#include "../common/paging.h"

#define PAGE_FAULT 14

/* Vectors for which the CPU pushes an error code: 8, 10 to 14, 17, 21, 29, 30. */
#define ERROR_CODE_VECTORS ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21) | (1 << 29) | (1 << 30))

/* Offsets in the frame once the volatile registers are saved. */
#define VECTOR (9 * 8)
#define ERROR (10 * 8)
#define RIP (11 * 8)
#define CS (12 * 8)

	/* Frame information where C puts its own, so that a debugger unwinds through both. */
	.cfi_sections .debug_frame

	.section .text, "ax"
	.code64

	.balign 16
	.globl early_idt_handlers
	.type early_idt_handlers, @object
early_idt_handlers:
	.set	.Lvector, 0
	.rept	32
	.balign 16
	.cfi_startproc
	.cfi_signal_frame
	.if	(ERROR_CODE_VECTORS >> .Lvector) & 1
	.cfi_def_cfa rsp, 6 * 8
	.cfi_offset rip, -5 * 8
	.cfi_offset rsp, -2 * 8
	.else
	.cfi_def_cfa rsp, 5 * 8
	.cfi_offset rip, -5 * 8
	.cfi_offset rsp, -2 * 8
	pushq	$0
	.cfi_adjust_cfa_offset 8
	.endif
	pushq	$.Lvector
	.cfi_adjust_cfa_offset 8
	jmp	early_exception
	.cfi_endproc
	.set	.Lvector, .Lvector + 1
	.endr
	.size early_idt_handlers, . - early_idt_handlers

	.balign 16
	.type early_exception, @function
early_exception:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, 7 * 8
	.cfi_offset rip, -5 * 8
	.cfi_offset rsp, -2 * 8
	cld

	/* A fault in the handler itself may happen once, while it prints; after that nothing will get better. */
	cmpl	$2, early_recursion(%rip)
	je	halt_for_ever
	incl	early_recursion(%rip)

.macro SAVE register
	pushq	%\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \register, 0
.endm
.macro RESTORE register
	popq	%\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \register
.endm

	SAVE	rax
	SAVE	rcx
	SAVE	rdx
	SAVE	rsi
	SAVE	rdi
	SAVE	r8
	SAVE	r9
	SAVE	r10
	SAVE	r11

	cmpl	$__KERNEL_CS, CS(%rsp)
	jne	panic

	cmpl	$PAGE_FAULT, VECTOR(%rsp)
	jne	fixup
	movq	%cr2, %rdi
	call	early_make_pgtable
	testl	%eax, %eax
	jz	retry

fixup:
	leaq	RIP(%rsp), %rdi
	call	early_fixup_exception
	testl	%eax, %eax
	jnz	retry

panic:
	movq	VECTOR(%rsp), %rdi
	movq	CS(%rsp), %rsi
	movq	RIP(%rsp), %rdx
	movq	ERROR(%rsp), %rcx
	movq	%cr2, %r8
	call	early_panic

	/* The mapping is there now, or RIP is another: let the CPU try again. */
retry:
	RESTORE	r11
	RESTORE	r10
	RESTORE	r9
	RESTORE	r8
	RESTORE	rdi
	RESTORE	rsi
	RESTORE	rdx
	RESTORE	rcx
	RESTORE	rax
	addq	$16, %rsp		/* vector and error code */
	.cfi_adjust_cfa_offset -16
	decl	early_recursion(%rip)
	iretq
	.cfi_endproc
	.size early_exception, . - early_exception

halt_for_ever:
	cli
	hlt
	jmp	halt_for_ever

	.section .data, "aw"
	.balign 4
early_recursion:
	.long	0

	.section .note.GNU-stack, "", @progbits
