/*
 * The static tables of the kernel map and the fixmap, as linked: head.S of each program includes them behind its root,
 * and adds to their entries what the kernel was moved by.
 */

/* A symbol's physical address as linked. */
#define PHYSICAL(symbol) ((symbol) - __START_KERNEL_map)

.macro TABLE name
	.balign PAGE_SIZE
	.globl \name
	.type \name, @object
\name:
.endm

.macro END_TABLE name
	.size \name, . - \name
.endm

.macro KERNEL_TABLES
TABLE level3_kernel_pgt
	.fill	L3_START_KERNEL, 8, 0
	.quad	PHYSICAL(level2_kernel_pgt) + _KERNPG_TABLE
	.quad	PHYSICAL(level2_fixmap_pgt) + _PAGE_TABLE
END_TABLE level3_kernel_pgt

/* The 512 MiB of the kernel map. */
TABLE level2_kernel_pgt
	.set	.Lpage, 0
	.rept	256
	.quad	(.Lpage << PMD_SHIFT) + __PAGE_KERNEL_LARGE_EXEC
	.set	.Lpage, .Lpage + 1
	.endr
	.fill	256, 8, 0
END_TABLE level2_kernel_pgt

TABLE level2_fixmap_pgt
	.fill	L2_FIXMAP, 8, 0
	.quad	PHYSICAL(level1_fixmap_pgt) + _PAGE_TABLE
	.fill	PTRS_PER_TABLE - 1 - L2_FIXMAP, 8, 0
END_TABLE level2_fixmap_pgt

TABLE level1_fixmap_pgt
	.fill	PTRS_PER_TABLE, 8, 0
END_TABLE level1_fixmap_pgt
.endm
