/* What the domain builder has told. */
#include "e820.h"
#include "xen64.h"

struct start_info start_info;

const u64 *machine_to_phys;

void domain_init(const struct start_info *builders)
{
	struct xen_machphys_mapping mapping;

	start_info = *builders;
	set_traps();
	if (hypercall(HYPERCALL_memory_op, XENMEM_machphys_mapping, (xen_word)&mapping, 0, 0) < 0)
		FAIL("the hypervisor tells no machine-to-physical table\n");
	machine_to_phys = (const u64 *)mapping.v_start;
}

unsigned read_memory_map(struct e820_entry *map, unsigned most)
{
	struct xen_memory_map query = { most, map };

	if (hypercall(HYPERCALL_memory_op, XENMEM_memory_map, (xen_word)&query, 0, 0) < 0)
		FAIL("the hypervisor tells no memory map\n");
	return query.nr_entries;
}

int p2m_is_outside(void)
{
	unsigned slot = pgd_index(start_info.mfn_list);

	return slot > 0 && slot < pgd_index(__START_KERNEL_map);
}

/* The builder's last page is the stack; what it maps behind that is padding up to a multiple of 4 MiB. */
u64 builders_end(void)
{
	return (__pa((void *)start_info.pt_base) >> 12) + start_info.nr_pt_frames + 1;
}

u64 initial_mapping_end(void)
{
	u64 end = (builders_end() + 1023) & ~1023ull;

	return end - builders_end() < 128 ? end + 1024 : end;
}
