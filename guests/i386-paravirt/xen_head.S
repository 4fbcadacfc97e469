/*
 * What the image tells the hypervisor of itself, the entry of the domain, and hypercalls.
 *
 * Paging is on, in PAE mode, and the CPU is in ring 1, at the addresses that the kernel is linked for.
 */
#include "pgtable.h"

#define XEN_ELFNOTE_ENTRY 1
#define XEN_ELFNOTE_HYPERCALL_PAGE 2
#define XEN_ELFNOTE_VIRT_BASE 3
#define XEN_ELFNOTE_XEN_VERSION 5
#define XEN_ELFNOTE_GUEST_OS 6
#define XEN_ELFNOTE_LOADER 8
#define XEN_ELFNOTE_PAE_MODE 9
#define XEN_ELFNOTE_FEATURES 10

.macro TEXT_NOTE type text
	.long	4, 2f - 1f, \type
	.asciz	"Xen"
1:	.asciz	"\text"
2:	.balign 4
.endm
.macro NUMBER_NOTE type value
	.long	4, 4, \type
	.asciz	"Xen"
	.long	\value
.endm

	/* Frame information where C puts its own, so that a debugger unwinds through both. */
	.cfi_sections .debug_frame

	.section .note.Xen, "a", @note
	TEXT_NOTE XEN_ELFNOTE_GUEST_OS "pagewalk"
	TEXT_NOTE XEN_ELFNOTE_XEN_VERSION "xen-3.0"
	NUMBER_NOTE XEN_ELFNOTE_VIRT_BASE PAGE_OFFSET
	NUMBER_NOTE XEN_ELFNOTE_ENTRY startup_xen
	NUMBER_NOTE XEN_ELFNOTE_HYPERCALL_PAGE hypercall_page
	/* All updates of tables are asked for. */
	TEXT_NOTE XEN_ELFNOTE_FEATURES "!writable_page_tables"
	TEXT_NOTE XEN_ELFNOTE_PAE_MODE "yes"
	TEXT_NOTE XEN_ELFNOTE_LOADER "generic"

	.section .head.text, "ax"
	.code32

	.globl startup_xen
	.type startup_xen, @function
startup_xen:
	.cfi_startproc
	.cfi_undefined eip
	cld
	/* BSS; the builder's stack serves until then. ESI is the address of start_info. */
	xorl	%eax, %eax
	movl	$__bss_start, %edi
	movl	$__bss_stop, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	rep stosl
	movl	$init_stack_top, %esp
	pushl	%esi
	pushl	$0			/* the end of the stack, for unwinders */
	jmp	xen_start_kernel
	.cfi_endproc
	.size startup_xen, . - startup_xen

	.text
	/* long hypercall(unsigned number, a, b, c, d) */
	.globl hypercall
	.type hypercall, @function
hypercall:
	.cfi_startproc
	pushl	%ebx
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset ebx, 0
	pushl	%esi
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset esi, 0
	movl	12(%esp), %eax
	movl	16(%esp), %ebx
	movl	20(%esp), %ecx
	movl	24(%esp), %edx
	movl	28(%esp), %esi
	shll	$HYPERCALL_SHIFT, %eax
	addl	$hypercall_page, %eax
	call	*%eax
	popl	%esi
	.cfi_adjust_cfa_offset -4
	.cfi_restore esi
	popl	%ebx
	.cfi_adjust_cfa_offset -4
	.cfi_restore ebx
	ret
	.cfi_endproc
	.size hypercall, . - hypercall

#include "../common/hypercall_page.S"

	.section .note.GNU-stack, "", @progbits
