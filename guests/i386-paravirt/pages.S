/* Pages of BSS that the entry needs: the root, and the stack. */
#include "pgtable.h"

	.section .bss.pages, "aw", @nobits
.macro PAGES name count
	.balign PAGE_SIZE
	.globl \name
	.type \name, @object
\name:
	.skip	\count * PAGE_SIZE
	.size \name, . - \name
.endm

	/* One page, read as 1024 entries of 4 bytes by a 2-level CPU, as 4 of 8 bytes by one in PAE mode. */
PAGES swapper_pg_dir 1
	/* As a page directory: one that maps nothing. */
PAGES empty_zero_page 1
PAGES init_stack 2
	.globl init_stack_top
init_stack_top:

	.section .note.GNU-stack, "", @progbits
