/*
 * From the boot loader's identity map to C code at the kernel's own addresses, on init_level4_pgt from the start: it
 * maps the kernel's image, and for the moment of the jump the page that we run on.
 *
 * RSI holds the physical address of boot_params all the way down to x86_64_start_kernel.
 */
#include "../common/paging.h"

#define CR0_STATE 0x80050033	/* PE MP ET NE WP AM PG */
#define CR4_STATE 0x000000a0	/* PAE PGE */
#define MSR_EFER 0xc0000080
#define EFER_NX_BIT 11
#define CPUID_NX_BIT 20

	/* Frame information where C puts its own, so that a debugger unwinds through both. */
	.cfi_sections .debug_frame

	.section .head.text, "ax"
	.code64

	.globl startup_64
	.type startup_64, @function
startup_64:
	.cfi_startproc
	.cfi_undefined rip

	/* How far are we from where we were linked? */
	leaq	_text(%rip), %rdi
	movq	%rdi, %rbp
	subq	$(_text - __START_KERNEL_map), %rbp

	/* Large pages map the kernel, so it must begin with one, and lie where the direct map reaches. */
	testl	$((1 << PMD_SHIFT) - 1), %edi
	jnz	bad_address
	movq	%rdi, %rax
	shrq	$MAX_PHYSMEM_BITS, %rax
	jnz	bad_address

	/* The static tables hold physical addresses as linked. */
	addq	%rbp, init_level4_pgt + L4_START_KERNEL * 8(%rip)
	addq	%rbp, level3_kernel_pgt + L3_START_KERNEL * 8(%rip)
	addq	%rbp, level3_kernel_pgt + L3_FIXMAP * 8(%rip)
	addq	%rbp, level2_fixmap_pgt + L2_FIXMAP * 8(%rip)
	leaq	level2_kernel_pgt(%rip), %rbx
	movl	$PTRS_PER_TABLE, %ecx
1:	testb	$_PAGE_PRESENT, 0(%rbx)
	jz	2f
	addq	%rbp, 0(%rbx)
2:	addq	$8, %rbx
	decl	%ecx
	jnz	1b
	addq	%rbp, phys_base(%rip)

	/* The trampoline: one large page, the one that this code lies in, where it runs now. Not global: it must go. */
	leaq	trampoline_level2_pgt(%rip), %rbx
	leaq	(__PAGE_KERNEL_LARGE_EXEC & ~_PAGE_GLOBAL)(%rdi), %rdx
	movq	%rdi, %rax
	shrq	$PMD_SHIFT, %rax
	andl	$(PTRS_PER_TABLE - 1), %eax
	movq	%rdx, 0(%rbx, %rax, 8)

	leaq	_KERNPG_TABLE(%rbx), %rdx
	leaq	trampoline_level3_pgt(%rip), %rbx
	movq	%rdi, %rax
	shrq	$PUD_SHIFT, %rax
	andl	$(PTRS_PER_TABLE - 1), %eax
	movq	%rdx, 0(%rbx, %rax, 8)

	leaq	_KERNPG_TABLE(%rbx), %rdx
	leaq	init_level4_pgt(%rip), %rbx
	movq	%rdi, %rax
	shrq	$PGDIR_SHIFT, %rax
	movq	%rdx, 0(%rbx, %rax, 8)

	/* Where there is NX, use it, before tables that have it. */
	movl	$CPUID_EXTENDED, %eax
	movq	%rbx, %r8
	cpuid
	btl	$CPUID_NX_BIT, %edx
	jnc	3f
	movl	$MSR_EFER, %ecx
	rdmsr
	btsl	$EFER_NX_BIT, %eax
	wrmsr

3:	movl	$CR4_STATE, %eax
	movq	%rax, %cr4
	movq	%r8, %cr3
	movq	$4f, %rax
	jmp	*%rax
4:
	movl	$CR0_STATE, %eax
	movq	%rax, %cr0

	movq	$init_stack_top, %rsp
	pushq	$0
	popfq
	lgdt	gdt_descr(%rip)
	movl	$__KERNEL_DS, %eax
	movl	%eax, %ds
	movl	%eax, %ss
	movl	%eax, %es

	movq	%rsi, %rdi
	pushq	$0			/* the end of the stack, for unwinders */
	pushq	$__KERNEL_CS
	pushq	$x86_64_start_kernel
	lretq
	.cfi_endproc
	.size startup_64, . - startup_64

	.globl bad_address
	.type bad_address, @function
bad_address:
	cli
	hlt
	jmp	bad_address
	.size bad_address, . - bad_address

	.section .init.data, "aw"
	.balign 16
gdt:
	.quad	0
	.quad	0
	.quad	0x00af9b000000ffff	/* __KERNEL_CS: 64-bit code */
	.quad	0x00cf93000000ffff	/* __KERNEL_DS */
gdt_descr:
	.word	gdt_descr - gdt - 1
	.quad	gdt

	/* Not in BSS, which is cleared while it is in use. */
	.balign 16
	.space	2 * PAGE_SIZE
	.globl init_stack_top
init_stack_top:

	.section .data, "aw"
	.balign 8
	.globl phys_base
	.type phys_base, @object
phys_base:
	.quad	0
	.size phys_base, 8

#include "../common/kernel_tables.S"

	.section .data.tables, "aw"

TABLE init_level4_pgt
	.fill	L4_START_KERNEL, 8, 0
	.quad	PHYSICAL(level3_kernel_pgt) + _PAGE_TABLE
END_TABLE init_level4_pgt

	KERNEL_TABLES

TABLE trampoline_level3_pgt
	.fill	PTRS_PER_TABLE, 8, 0
END_TABLE trampoline_level3_pgt

TABLE trampoline_level2_pgt
	.fill	PTRS_PER_TABLE, 8, 0
END_TABLE trampoline_level2_pgt

	.section .note.GNU-stack, "", @progbits
