/*
 * From the boot loader's physical addresses to C code at the kernel's own.
 *
 * PVH enters in protected mode with flat segments and paging off; EBX holds the physical address of hvm_start_info all
 * the way down to i386_start_kernel. Whatever format the kernel's tables will have, these here are 2-level ones of
 * 4 KiB pages: every CPU has them.
 */
#include "pgtable.h"

#define PHYSICAL(symbol) ((symbol) - PAGE_OFFSET)

#define CR0_STATE 0x80050033	/* PE MP ET NE WP AM PG */
#define KERNEL_SLOT (PAGE_OFFSET >> BOOT_PGDIR_SHIFT)
#define XEN_ELFNOTE_PHYS32_ENTRY 18

	/* Frame information where C puts its own, so that a debugger unwinds through both. */
	.cfi_sections .debug_frame

	.section .note.Xen, "a", @note
	.long	4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	PHYSICAL(startup_32)

	.section .head.text, "ax"
	.code32

	.globl startup_32
	.type startup_32, @function
startup_32:
	.cfi_startproc
	.cfi_undefined eip
	cld

	/* The root lies in BSS. */
	xorl	%eax, %eax
	movl	$PHYSICAL(__bss_start), %edi
	movl	$PHYSICAL(__bss_stop), %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	rep stosl

	/*
	 * Page tables behind the kernel's end, each linked twice: where its pages lie (identity), and at PAGE_OFFSET.
	 * EDI is the next table entry to write, EDX the next root entry, EAX the next page with its flags. Each table
	 * moves the end that has to be mapped by a page, and what is mapped by 4 MiB.
	 */
	movl	$PHYSICAL(_end), %edi
	movl	$PHYSICAL(swapper_pg_dir), %edx
	movl	$__PAGE_KERNEL, %eax
1:	leal	_PAGE_TABLE(%edi), %ecx
	movl	%ecx, (%edx)
	movl	%ecx, KERNEL_SLOT * 4(%edx)
	addl	$4, %edx
	movl	$BOOT_PTRS_PER_TABLE, %ecx
2:	stosl
	addl	$PAGE_SIZE, %eax
	decl	%ecx
	jnz	2b
	leal	(INIT_MAP_BEYOND_END + __PAGE_KERNEL)(%edi), %ecx
	cmpl	%ecx, %eax
	jb	1b

	movl	%edi, PHYSICAL(init_pg_tables_end)
	subl	$__PAGE_KERNEL, %eax
	movl	%eax, PHYSICAL(init_map_end)

	movl	$PHYSICAL(swapper_pg_dir), %eax
	movl	%eax, %cr3
	movl	$CR0_STATE, %eax
	movl	%eax, %cr0

	/* Still at the identity mapping. Go to where we were linked. */
	movl	$3f, %eax
	jmp	*%eax
3:
	lgdt	gdt_descr
	ljmp	$__KERNEL_CS, $4f
4:	movl	$__KERNEL_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$init_stack_top, %esp
	pushl	$0
	popfl

	pushl	%ebx
	pushl	$0			/* the end of the stack, for unwinders */
	jmp	i386_start_kernel
	.cfi_endproc
	.size startup_32, . - startup_32

	.data
	.balign 8
gdt:
	.quad	0
	.quad	0
	.quad	0x00cf9b000000ffff	/* __KERNEL_CS: 32-bit code, 4 GiB */
	.quad	0x00cf93000000ffff	/* __KERNEL_DS */
gdt_descr:
	.word	gdt_descr - gdt - 1
	.long	gdt

	/* Physical; known before BSS is of any use. */
	.balign 4
	.globl init_pg_tables_end
	.type init_pg_tables_end, @object
init_pg_tables_end:
	.long	0
	.size init_pg_tables_end, 4
	.globl init_map_end
	.type init_map_end, @object
init_map_end:
	.long	0
	.size init_map_end, 4

	.section .note.GNU-stack, "", @progbits
