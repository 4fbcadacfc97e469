/* The hooks of a native boot: entries and registers are written as they are, and nobody has to be told of tables. */
#include "cpu.h"
#include "i386_paravirt.h"
#include "paging_hooks.h"

static void native_alloc_pt(u32 pfn)
{
	(void)pfn;
}

static void native_alloc_pd(u32 pfn)
{
	(void)pfn;
}

/* An entry becomes valid with its low half. */
static void write_entry(volatile entry_t *entry, entry_t value)
{
#ifdef PAE
	volatile u32 *halves = (volatile u32 *)entry;

	halves[0] = 0;
	halves[1] = value >> 32;
	halves[0] = value;
#else
	*entry = value;
#endif
}

static void native_set_pte(pte_t *entry, pte_t value)
{
	write_entry(&entry->value, value.value);
}

static void native_set_pmd(pmd_t *entry, pmd_t value)
{
	write_entry(&entry->value, value.value);
}

static void native_set_pgd(pgd_t *entry, pgd_t value)
{
	write_entry(&entry->value, value.value);
}

#ifdef PAE
/*
 * The CPU reads this very page as a 2-level root until CR4.PAE is set. The three user entries take the bytes of six
 * 4-byte ones (linear 0 to 24 MiB), the kernel's takes two more (24 to 32 MiB). Nothing down there is used any more;
 * the kernel runs on entries 768 and up, far behind.
 */
static void native_pagetable_setup_start(pgd_t *base)
{
	for (unsigned i = 0; i < USER_PTRS_PER_PGD; i++)
		native_set_pgd(base + i, (pgd_t){ __pa(empty_zero_page) | _PAGE_PRESENT });
	/* Not present, so that a page directory will be allocated. */
	for (unsigned i = USER_PTRS_PER_PGD; i < PTRS_PER_PGD; i++)
		native_set_pgd(base + i, (pgd_t){ 0 });
}

/* Other CPUs come up from real mode, at addresses that must be mapped as they are. */
static void native_pagetable_setup_done(pgd_t *base)
{
	if (boot_settings.defect != DEFECT_NO_LOW_ALIAS)
		native_set_pgd(base, base[USER_PTRS_PER_PGD]);
}
#else
static void native_pagetable_setup_start(pgd_t *base)
{
	native_alloc_pd(PFN(__pa(base)));
}

/* The entry code's identity mapping is still there. */
static void native_pagetable_setup_done(pgd_t *base)
{
	(void)base;
}
#endif

static void native_set_in_cr4(u32 bits)
{
	write_cr4(read_cr4() | bits);
}

static void native_set_in_efer(u32 bits)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | bits);
}

static void native_flush_tlb_all(void)
{
	u32 cr4 = read_cr4();

	write_cr3(read_cr3());
	/* CR3 leaves global translations; toggling PGE does not. */
	if (cr4 & CR4_PGE) {
		write_cr4(cr4 & ~CR4_PGE);
		write_cr4(cr4);
	}
}

const struct paging_hooks native_paging_hooks = {
	.pagetable_setup_start = native_pagetable_setup_start,
	.pagetable_setup_done = native_pagetable_setup_done,
	.alloc_pt = native_alloc_pt,
	.alloc_pd = native_alloc_pd,
	.set_pte = native_set_pte,
	.set_pmd = native_set_pmd,
	.set_pgd = native_set_pgd,
	.load_root = write_cr3,
	.set_in_cr4 = native_set_in_cr4,
	.set_in_efer = native_set_in_efer,
	.flush_tlb_all = native_flush_tlb_all,
};
