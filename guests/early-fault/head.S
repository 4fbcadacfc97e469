/*
 * From the boot loader's identity map to C code at the kernel's own addresses.
 *
 * The code below runs at whatever physical address the loader chose, on tables of the loader, without a stack. It
 * builds just enough of its own tables to survive the load of CR3: the kernel must be mapped twice at that moment,
 * where it runs now (identity) and where it was linked.
 *
 * RSI holds the physical address of boot_params all the way down to x86_64_start_kernel.
 */
#include "../common/paging.h"
#include "early_fault.h"

#define CR0_STATE 0x80050033	/* PE MP ET NE WP AM PG */
#define CR4_STATE 0x000000a0	/* PAE PGE */
#define MSR_EFER 0xc0000080
#define EFER_SCE_BIT 0
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

	/* 1. How far are we from where we were linked? Virtual addresses, less the map's start, are physical ones. */
	leaq	_text(%rip), %rdi
	movq	%rdi, %rbp
	subq	$(_text - __START_KERNEL_map), %rbp

	/* Large pages map the kernel, so that it must begin with one. */
	testl	$((1 << PMD_SHIFT) - 1), %edi
	jnz	bad_address

	/* 2. And it must lie where the direct map reaches. */
	movq	%rdi, %rax
	shrq	$MAX_PHYSMEM_BITS, %rax
	jnz	bad_address

	/* 3. The static tables hold physical addresses as linked. */
	addq	%rbp, early_level4_pgt + L4_START_KERNEL * 8(%rip)
	addq	%rbp, level3_kernel_pgt + 510 * 8(%rip)
	addq	%rbp, level3_kernel_pgt + 511 * 8(%rip)
	addq	%rbp, level2_fixmap_pgt + 506 * 8(%rip)

	/*
	 * 4. The identity map of the kernel, out of the first two pages of the pool: pool[0] is its level 3, pool[1]
	 * its level 2. None of its entries is global: they must go away with a load of CR3.
	 */
	leaq	early_level4_pgt(%rip), %rbx
	movq	%rdi, %rax
	shrq	$PGDIR_SHIFT, %rax
	leaq	(PAGE_SIZE + _KERNPG_TABLE)(%rbx), %rdx

	/* The same page twice: right for a kernel that crosses a 512 GiB boundary, and harmless for any other. */
	movq	%rdx, 0(%rbx, %rax, 8)
	movq	%rdx, 8(%rbx, %rax, 8)

	/* The same trick for a 1 GiB boundary. */
	addq	$PAGE_SIZE, %rdx
	movq	%rdi, %rax
	shrq	$PUD_SHIFT, %rax
	andl	$(PTRS_PER_TABLE - 1), %eax
	movq	%rdx, PAGE_SIZE(%rbx, %rax, 8)
#ifdef PROTOTYPE
	/* Does not wrap: behind the last entry of pool[0] lies the first one of pool[1]. */
	movq	%rdx, PAGE_SIZE + 8(%rbx, %rax, 8)
#else
	incl	%eax
	andl	$(PTRS_PER_TABLE - 1), %eax
	movq	%rdx, PAGE_SIZE(%rbx, %rax, 8)
#endif

	movq	%rdi, %rax
	shrq	$PMD_SHIFT, %rax
	leaq	(__PAGE_KERNEL_LARGE_EXEC & ~_PAGE_GLOBAL)(%rdi), %rdx
#ifdef PROTOTYPE
	/* A whole GiB from the kernel's start on, whether there is memory or not. */
	movl	$PTRS_PER_TABLE, %ecx
#else
	/* Only what the kernel occupies: the CPU may speculate into whatever is mapped, memory or not. */
	leaq	_end - 1(%rip), %rcx
	shrq	$PMD_SHIFT, %rcx
	subq	%rax, %rcx
	incl	%ecx
#endif
	andl	$(PTRS_PER_TABLE - 1), %eax
1:	movq	%rdx, 2 * PAGE_SIZE(%rbx, %rax, 8)
	addq	$(1 << PMD_SHIFT), %rdx
	incl	%eax
	andl	$(PTRS_PER_TABLE - 1), %eax
	decl	%ecx
	jnz	1b

	/* 5. The kernel map itself. Entries outside of the image move too, which does no harm. */
	leaq	level2_kernel_pgt(%rip), %rdi
	leaq	PAGE_SIZE(%rdi), %r8
2:	testb	$_PAGE_PRESENT, 0(%rdi)
	jz	3f
	addq	%rbp, 0(%rdi)
3:	addq	$8, %rdi
	cmpq	%r8, %rdi
	jne	2b

	/* 6. From here on C code can convert addresses, and the CPU can use the tables. */
	addq	%rbp, phys_base(%rip)

	movl	$CR4_STATE, %eax
	movq	%rax, %cr4
	movq	%rbx, %cr3

	/* Still on the identity map. Go to where we were linked. */
	movq	$4f, %rax
	jmp	*%rax
4:
	/* Where there is NX, use it. Where there is not, bit 63 of an entry is reserved: see early_make_pgtable. */
	movl	$0x80000001, %eax
	cpuid
	movl	%edx, %edi
	movl	$MSR_EFER, %ecx
	rdmsr
	btsl	$EFER_SCE_BIT, %eax
	btl	$CPUID_NX_BIT, %edi
	jnc	5f
	btsl	$EFER_NX_BIT, %eax
5:	wrmsr

	movl	$CR0_STATE, %eax
	movq	%rax, %cr0

	movq	$early_stack_top, %rsp
	pushq	$0
	popfq
	lgdt	early_gdt_descr(%rip)
	movl	$__KERNEL_DS, %eax
	movl	%eax, %ds
	movl	%eax, %ss
	movl	%eax, %es

	movq	%rsi, %rdi
	pushq	$0			/* the end of the stack, for unwinders */
#ifdef PROTOTYPE
	/* A far jump with a 64-bit offset: AMD's CPUs have none, and read 32 bits of it. */
	rex64
	ljmp	*start_kernel_pointer(%rip)
#else
	pushq	$__KERNEL_CS
	pushq	$x86_64_start_kernel
	lretq
#endif
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
#ifdef PROTOTYPE
start_kernel_pointer:
	.quad	x86_64_start_kernel
	.word	__KERNEL_CS
	.balign 16
#endif
early_gdt:
	.quad	0
	.quad	0
	.quad	0x00af9b000000ffff	/* __KERNEL_CS: 64-bit code */
	.quad	0x00cf93000000ffff	/* __KERNEL_DS */
early_gdt_descr:
	.word	early_gdt_descr - early_gdt - 1
	.quad	early_gdt

	/* Not in BSS, which is cleared while it is in use. */
	.balign 16
	.space	2 * PAGE_SIZE
early_stack_top:

	.section .data, "aw"
	.balign 8
	.globl phys_base
	.type phys_base, @object
phys_base:
	.quad	0
	.size phys_base, 8

#include "../common/kernel_tables.S"

	.section .data.tables, "aw"

/* Everything below entry 511 comes and goes. The pool lies directly behind: the code above relies on it. */
TABLE early_level4_pgt
	.fill	511, 8, 0
	.quad	PHYSICAL(level3_kernel_pgt) + _PAGE_TABLE
END_TABLE early_level4_pgt

TABLE early_dynamic_pgts
	.fill	PTRS_PER_TABLE * EARLY_DYNAMIC_PAGE_TABLES, 8, 0
END_TABLE early_dynamic_pgts

	KERNEL_TABLES

/* The final root. In BSS it would be cleared after it could first have been used; in data it survives. */
#ifdef PROTOTYPE
	.section .bss.tables, "aw", @nobits
TABLE init_level4_pgt
	.skip	PAGE_SIZE
#else
TABLE init_level4_pgt
	.fill	512, 8, 0
#endif
END_TABLE init_level4_pgt

	.section .note.GNU-stack, "", @progbits
