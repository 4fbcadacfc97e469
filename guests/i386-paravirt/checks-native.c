/* What a native boot promises besides: its first tables, and low memory at its physical addresses. */
#include "checks.h"

/* Large pages and PAE have no use for the tables of the entry assembly. */
u32 kept_tables(void)
{
#ifdef PAE
	return 0;
#else
	return use_pse ? 0 : (init_pg_tables_end - __pa(_end)) / PAGE_SIZE;
#endif
}

/* The kernel at its physical addresses: what the entry assembly had mapped is there, or is there again. */
void check_variant(void)
{
	for (u32 physical = __pa(_text); physical < __pa(_end); physical += PAGE_SIZE) {
		if (!maps_to(physical, physical) || !probe_read_pages((const void *)physical, 1))
			FAIL("low memory is not mapped at %x, its physical address, too\n", (u64)physical);
	}
}
