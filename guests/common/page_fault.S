/* A page-fault gate for when no fault is expected any more: it only tells. */
	/* Frame information where C puts its own, so that a debugger unwinds through both. */
	.cfi_sections .debug_frame

	.section .text, "ax"
	.code64

	.balign 16
	.globl final_page_fault
	.type final_page_fault, @function
final_page_fault:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, 6 * 8
	.cfi_offset rip, -5 * 8
	.cfi_offset rsp, -2 * 8
	movq	%cr2, %rdi
	movq	0(%rsp), %rsi
	movq	8(%rsp), %rdx
	call	report_page_fault
	.cfi_endproc
	.size final_page_fault, . - final_page_fault

	.section .note.GNU-stack, "", @progbits
