/*
 * The entry of a 64-bit domain, what the image tells the hypervisor, and the entries of exceptions. The program goes on
 * in xen_start_kernel.
 */
#include "paging.h"

#define XEN_ELFNOTE_ENTRY 1
#define XEN_ELFNOTE_HYPERCALL_PAGE 2
#define XEN_ELFNOTE_VIRT_BASE 3
#define XEN_ELFNOTE_XEN_VERSION 5
#define XEN_ELFNOTE_GUEST_OS 6
#define XEN_ELFNOTE_LOADER 8
#define XEN_ELFNOTE_PAE_MODE 9
#define XEN_ELFNOTE_FEATURES 10
#define XEN_ELFNOTE_INIT_P2M 15

/* Where the P->M list is to lie: in the user half, L4 slot 1. */
#define INIT_P2M 0x8000000000

.macro TEXT_NOTE type text
	.long	4, 2f - 1f, \type
	.asciz	"Xen"
1:	.asciz	"\text"
2:	.balign 4
.endm
.macro NUMBER_NOTE type value
	.long	4, 8, \type
	.asciz	"Xen"
	.quad	\value
.endm

	/* Frame information where C puts its own, so that a debugger unwinds through both. */
	.cfi_sections .debug_frame

	.section .note.Xen, "a", @note
	TEXT_NOTE XEN_ELFNOTE_GUEST_OS "pagewalk"
	TEXT_NOTE XEN_ELFNOTE_XEN_VERSION "xen-3.0"
	NUMBER_NOTE XEN_ELFNOTE_VIRT_BASE __START_KERNEL_map
	NUMBER_NOTE XEN_ELFNOTE_ENTRY startup_xen
	NUMBER_NOTE XEN_ELFNOTE_HYPERCALL_PAGE hypercall_page
	TEXT_NOTE XEN_ELFNOTE_FEATURES "!writable_page_tables"
	TEXT_NOTE XEN_ELFNOTE_PAE_MODE "yes"
	TEXT_NOTE XEN_ELFNOTE_LOADER "generic"
	NUMBER_NOTE XEN_ELFNOTE_INIT_P2M INIT_P2M

	.section .head.text, "ax"
	.code64
	.globl startup_xen
	.type startup_xen, @function
startup_xen:
	.cfi_startproc
	.cfi_undefined rip
	cld
	/* BSS; the builder's stack serves until then. RSI is the address of start_info. */
	xorl	%eax, %eax
	movq	$__bss_start, %rdi
	movq	$__bss_stop, %rcx
	subq	%rdi, %rcx
	shrq	$3, %rcx
	rep stosq
	movq	$init_stack_top, %rsp
	movq	%rsi, %rdi
	pushq	$0			/* the end of the stack, for unwinders */
	jmp	xen_start_kernel
	.cfi_endproc
	.size startup_xen, . - startup_xen

	/* long hypercall(unsigned number, a, b, c, d) */
	.globl hypercall
	.type hypercall, @function
hypercall:
	.cfi_startproc
	movl	%edi, %eax
	shll	$5, %eax
	leaq	hypercall_page(%rax), %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	movq	%r8, %r10
	jmp	*%rax
	.cfi_endproc
	.size hypercall, . - hypercall

/*
 * The hypervisor enters with RCX and R11 pushed below its frame. A fault here is a mistake of this program, or one that
 * it was told to make: it is reported, and nothing goes on.
 */
.macro TRAP vector name has_error
	.globl \name
	.type \name, @function
\name:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, (7 + \has_error) * 8
	.cfi_offset rip, -5 * 8
	.cfi_offset rsp, -2 * 8
	.cfi_offset rcx, -(7 + \has_error) * 8
	.cfi_offset r11, -(6 + \has_error) * 8
	movq	%rsp, %rdi
	movl	$\vector, %esi
	movl	$\has_error, %edx
	call	report_trap
	ud2
	.cfi_endproc
	.size \name, . - \name
.endm
	.section .text, "ax"
TRAP 6 invalid_opcode 0
TRAP 13 general_protection 1
TRAP 14 page_fault 1

	.section .rodata, "a"
	.balign 8
	.globl trap_entries
	.type trap_entries, @object
trap_entries:
	.quad	0, 0, 0, 0, 0, 0, invalid_opcode, 0, 0, 0, 0, 0, 0, general_protection, page_fault, 0
	.fill	16, 8, 0
	.size trap_entries, . - trap_entries

	.section .bss.stack, "aw", @nobits
	.balign 16
	.skip	4 * PAGE_SIZE
init_stack_top:

#include "hypercall_page.S"

	.section .note.GNU-stack, "", @progbits
