/* The C part of the boot of a domain: its memory as the hypervisor tells it, and a root in place of the builder's. */
/* First, since it says where the direct map lies. */
#include "direct_map.h"
#include "../common/xen64.h"

void fail(void)
{
	shut_down(SHUTDOWN_crash);
}

void succeed(void)
{
	shut_down(SHUTDOWN_poweroff);
}

static void find_memory(void)
{
	u64 list = (u64)start_info.first_p2m_pfn << PAGE_SHIFT;

	boot_params.e820_entries = read_memory_map(boot_params.e820_table, E820_MAX);
	reserve_memory(__pa(_text), builders_end() << PAGE_SHIFT);
	reserve_memory(list, list + start_info.nr_p2m_frames * PAGE_SIZE);
}

void __attribute__((noreturn)) xen_start_kernel(const struct start_info *builders)
{
	domain_init(builders);
	print("%s: %d pages, P->M list at %x\n", start_info.magic, (u64)start_info.nr_pages, (u64)start_info.mfn_list);
	probe_cpu();
	/* Kernel and programs share a ring: a global entry would stay when the programs' root is loaded. */
	supported_pte_mask &= ~_PAGE_GLOBAL;
	find_memory();
	setup_kernel_pagetable();
	adopt_builders_tables();
	map_memory(initial_mapping_end() << PAGE_SHIFT);
	report_outcome(check_table_pages() + check_direct_map());
}
