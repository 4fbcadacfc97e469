/* A domain of Xen: what its builder and the hypervisor tell, exceptions, and the way out. */
#include "paging_hooks.h"
#include "xen_guest.h"

#define E820_USABLE 1
#define FLAT_RING1_CS 0xe019

const struct start_info *start_info;
const u32 *machine_to_phys;
u32 init_pg_tables_end, init_map_end;

void require(long result, const char *what)
{
	if (result < 0)
		FAIL("the hypervisor refused %s: error %d\n", what, (u64)-result);
}

/* The list stays where the builder has put it: behind the kernel, in low memory. */
u32 pfn_to_mfn(u32 pfn)
{
	return ((const u32 *)start_info->mfn_list)[pfn];
}

u32 builders_tables_start(void)
{
	return __pa((const void *)start_info->pt_base);
}

u32 builders_tables_end(void)
{
	return builders_tables_start() + start_info->nr_pt_frames * PAGE_SIZE;
}

/* All but the root and the kernel's page directory. */
u32 builders_page_tables(void)
{
	return start_info->nr_pt_frames - 2;
}

/* The builder fills its page tables from PAGE_OFFSET on without a gap. */
static u32 mapped_end(void)
{
	const pgd_t *pgd = (const pgd_t *)start_info->pt_base + pgd_index(PAGE_OFFSET);
	const pmd_t *pmd = pmd_offset(pgd, PAGE_OFFSET) + builders_page_tables() - 1;
	const pte_t *pte = pmd_page_table(pmd);
	u32 pages = (builders_page_tables() - 1) * PTRS_PER_PTE;

	for (unsigned i = 0; i < PTRS_PER_PTE && (pte[i].value & _PAGE_PRESENT); i++)
		pages++;
	return pages * PAGE_SIZE;
}

static void find_machine_to_phys(void)
{
	struct xen_machphys_mapping mapping;

	require(hypercall(HYPERCALL_memory_op, XENMEM_machphys_mapping, (xen_word)&mapping, 0, 0),
		"the machine-to-physical table");
	machine_to_phys = (const u32 *)mapping.v_start;
}

static void read_memory_map(void)
{
	static struct {
		u64 start, size;
		u32 type;
	} __attribute__((packed)) map[16];
	struct xen_memory_map query = { ARRAY_SIZE(map), map };

	require(hypercall(HYPERCALL_memory_op, XENMEM_memory_map, (xen_word)&query, 0, 0), "the memory map");
	for (unsigned i = 0; i < query.nr_entries; i++) {
		if (map[i].type == E820_USABLE)
			add_ram(map[i].start, map[i].start + map[i].size);
	}
}

static void set_traps(void)
{
	static struct trap_info traps[EXCEPTIONS + 1];

	for (unsigned vector = 0; vector < EXCEPTIONS; vector++)
		traps[vector] = (struct trap_info){ vector, 0, FLAT_RING1_CS, (u32)idt_handlers[vector] };
	require(hypercall(HYPERCALL_set_trap_table, (xen_word)traps, 0, 0, 0), "the trap table");
}

void __attribute__((noreturn)) xen_start_kernel(const struct start_info *builders)
{
	start_info = builders;
	paging_hooks = xen_paging_hooks;
	set_traps();
	find_machine_to_phys();
	read_memory_map();
	/* The builder's last page is its stack. */
	init_pg_tables_end = builders_tables_end() + PAGE_SIZE;
	init_map_end = mapped_end();
	start_kernel();
}

void end_machine(enum end end)
{
	shut_down(end == END_OK ? SHUTDOWN_poweroff : SHUTDOWN_crash);
}
