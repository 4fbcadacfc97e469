/* What the parts of the variant for Xen share. */
#ifndef XEN_GUEST_H
#define XEN_GUEST_H

#include "../common/xen.h"
#include "i386_paravirt.h"

/* xen_machine.c: what the domain builder has told. */
extern const struct start_info *start_info;
u32 pfn_to_mfn(u32 pfn);
/* Where the builder's tables begin and end, and how many of them are page tables. */
u32 builders_tables_start(void);
u32 builders_tables_end(void);
u32 builders_page_tables(void);
/* Stops with a sentence where the hypervisor has refused something. */
void require(long result, const char *what);

#endif
