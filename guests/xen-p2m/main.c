/* The way of the program, step by step. */
#include "xen_p2m.h"

/* The loader writes here before the program starts: see xen_p2m.h. */
struct boot_settings boot_settings __attribute__((section(".data"))) = { 0 };

/* How far the builder's mapping of memory at the kernel's addresses reaches, in frames. */
static u64 max_pfn_mapped(void)
{
	if (start_info.mfn_list < __START_KERNEL_map)
		return start_info.first_p2m_pfn;
	return __pa((void *)start_info.mfn_list) >> 12;
}

void __attribute__((noreturn)) xen_start_kernel(const struct start_info *builders)
{
	u64 free_before;

	domain_init(builders);
	print("%s: %d pages, P->M list at %x\n", start_info.magic, (u64)start_info.nr_pages, (u64)start_info.mfn_list);
	print("mapped at the kernel's addresses: up to frame %x\n", max_pfn_mapped());

	memory_init();
	setup_kernel_pagetable();
	build_direct_map();
	print("direct map: %d pages\n", direct_mapped);
	copy_p2m();
	free_before = free_count();
	pagetable_p2m_free();
	check_all(free_before);
	print("ok\n");
	shut_down(SHUTDOWN_poweroff);
}
