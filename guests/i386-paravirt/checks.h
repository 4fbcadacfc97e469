/* Looking at the tables of swapper_pg_dir in the format that they are built in, whatever the CPU's is at the moment. */
#ifndef CHECKS_H
#define CHECKS_H

#include "i386_paravirt.h"

/* What the kernel has tables for ends here: where a hypervisor has its own, or at the top. */
#ifdef XEN
#define KERNEL_END RESERVED_START
#else
#define KERNEL_END 0u
#endif

static inline pgd_t *pgd_of(u32 address)
{
	return swapper_pg_dir + pgd_index(address);
}

static inline int pgd_present(const pgd_t *pgd)
{
	return pgd->value & _PAGE_PRESENT;
}

/* The pmd of an address where it leads to a table, else none. */
static inline pmd_t *table_pmd(u32 address)
{
	pmd_t *pmd;

	if (!pgd_present(pgd_of(address)))
		return NULL;
	pmd = pmd_offset(pgd_of(address), address);
	return pmd_is_table(pmd) ? pmd : NULL;
}

/* checks-before.c: the leaf that maps an address, its address part as that of the 4 KiB page; 0 where there is none. */
entry_t leaf_of(u32 address);
/* Whether an address is mapped, to a page. */
int maps_to(u32 address, u32 physical);

#endif
