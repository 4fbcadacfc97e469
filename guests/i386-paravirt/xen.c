/*
 * The hooks of a guest of Xen. The CPU runs on the builder's tables from the first instruction on, and never on one
 * that the hypervisor has not checked: a table is read-only wherever it is mapped, and its entries, which hold machine
 * frames, are written by the hypervisor.
 */
#include "../common/memory.h"
#include "paging_hooks.h"
#include "xen_guest.h"

/* An entry of the kernel's in the hypervisor's terms. */
static entry_t machine_entry(entry_t value)
{
	entry_t flags = value & ~PTE_PFN_MASK;

	if (!(value & _PAGE_PRESENT))
		return value;
	return (entry_t)pfn_to_mfn((value & PTE_PFN_MASK) >> PAGE_SHIFT) << PAGE_SHIFT | flags;
}

static u64 machine_address(const void *address)
{
	u32 physical = __pa(address);

	return ((u64)pfn_to_mfn(PFN(physical)) << PAGE_SHIFT) + physical % PAGE_SIZE;
}

static void mmu_update(const entry_t *entry, entry_t value)
{
	struct mmu_update update = { machine_address(entry) | MMU_NORMAL_PT_UPDATE, value };

	require(hypercall(HYPERCALL_mmu_update, (xen_word)&update, 1, 0, DOMID_SELF), "an update of a table");
}

static void mmuext(unsigned command, u32 mfn, const char *what)
{
	struct mmuext_op operation = { .cmd = command, .arg1 = mfn };

	require(hypercall(HYPERCALL_mmuext_op, (xen_word)&operation, 1, 0, DOMID_SELF), what);
}

/* The page table entry of a page of low memory: the same one below every root. */
static pte_t *low_pte(const void *page)
{
	u32 address = (u32)page;

	return pmd_page_table(pmd_offset(swapper_pg_dir + pgd_index(address), address)) + pte_index(address);
}

static void make_read_only(const void *page)
{
	entry_t value = low_pte(page)->value & ~(entry_t)_PAGE_RW;

	require(hypercall(HYPERCALL_update_va_mapping, (xen_word)page, value, value >> 32, UVMF_INVLPG),
		"to make a page read-only");
}

static void xen_alloc_table(u32 pfn)
{
	if (boot_settings.defect != DEFECT_WRITABLE_TABLE)
		make_read_only(__va(pfn * PAGE_SIZE));
}

/*
 * A page directory with the hypervisor's entries serves one root alone, so that the base gets a copy of the builder's.
 * The page tables below are the same: a change of one of them shows under both roots.
 */
static void copy_directory(pgd_t *base, const pgd_t *builders)
{
	void *directory = alloc_bootmem_low_pages(PAGE_SIZE);

	if (!directory)
		FAIL("no mapped low memory is left for a page directory\n");
	tables_allocated++;
	memcpy(directory, pmd_offset(builders, 0), PAGE_SIZE);
	base->value = machine_entry(__pa(directory) | _PAGE_PRESENT);
}

/* From here on the base is the CPU's root: what is added to it can be used at once. */
static void xen_pagetable_setup_start(pgd_t *base)
{
	const pgd_t *builders = (const pgd_t *)start_info->pt_base;

	for (unsigned i = 0; i < PTRS_PER_PGD; i++) {
		if (builders[i].value & _PAGE_PRESENT)
			copy_directory(base + i, builders + i);
	}
	for (unsigned i = 0; i < PTRS_PER_PGD; i++) {
		if (base[i].value & _PAGE_PRESENT)
			make_read_only(pmd_offset(base + i, 0));
	}
	make_read_only(base);
	mmuext(MMUEXT_NEW_BASEPTR, pfn_to_mfn(PFN(__pa(base))), "the base as the root");
}

/* The base stays a table even where it is not the CPU's root. */
static void xen_pagetable_setup_done(pgd_t *base)
{
	mmuext(MMUEXT_PIN_L3_TABLE, pfn_to_mfn(PFN(__pa(base))), "to pin the base");
}

/*
 * A page that is mapped read-only may be a table, of the builder's or our own. Nothing else has been made read-only
 * by now.
 */
static entry_t mask_rw(const pte_t *entry, entry_t value)
{
	int read_only = (entry->value & (_PAGE_PRESENT | _PAGE_RW)) == _PAGE_PRESENT;

	return read_only && boot_settings.defect != DEFECT_WRITABLE_ALIAS ? value & ~(entry_t)_PAGE_RW : value;
}

/*
 * In halves, the upper one first: with it, an entry that is not present stays so, and one that is present maps the
 * page that it did.
 */
static void write_directly(pte_t *entry, entry_t value)
{
	volatile u32 *halves = (volatile u32 *)entry;

	halves[1] = value >> 32;
	halves[0] = value;
}

static void xen_set_pte(pte_t *entry, pte_t value)
{
	entry_t masked = machine_entry(mask_rw(entry, value.value));

	if (boot_settings.defect == DEFECT_DIRECT_WRITE)
		write_directly(entry, masked);
	else
		mmu_update(&entry->value, masked);
	/* Low memory is mapped upwards, and each page can be handed out as soon as it is. */
	if ((value.value & PTE_PFN_MASK) == init_map_end)
		init_map_end += PAGE_SIZE;
}

static void xen_set_pmd(pmd_t *entry, pmd_t value)
{
	mmu_update(&entry->value, machine_entry(value.value));
}

static void xen_set_pgd(pgd_t *entry, pgd_t value)
{
	mmu_update(&entry->value, machine_entry(value.value));
}

static void xen_load_root(u32 physical)
{
	mmuext(MMUEXT_NEW_BASEPTR, pfn_to_mfn(PFN(physical)), "a root");
}

/* CR4 and EFER are the hypervisor's, which has set what there is to set. */
static void xen_leave_register(u32 bits)
{
	(void)bits;
}

static void xen_flush_tlb_all(void)
{
	mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, "to flush the TLB");
}

const struct paging_hooks xen_paging_hooks = {
	.pagetable_setup_start = xen_pagetable_setup_start,
	.pagetable_setup_done = xen_pagetable_setup_done,
	.alloc_pt = xen_alloc_table,
	.alloc_pd = xen_alloc_table,
	.set_pte = xen_set_pte,
	.set_pmd = xen_set_pmd,
	.set_pgd = xen_set_pgd,
	.load_root = xen_load_root,
	.set_in_cr4 = xen_leave_register,
	.set_in_efer = xen_leave_register,
	.flush_tlb_all = xen_flush_tlb_all,
};
