/*
 * The kernel's initial page tables: low memory at PAGE_OFFSET, and tables for the fixed mappings. What depends on who
 * the machine belongs to goes through paging_hooks.
 */
#include "cpu.h"
#include "i386_paravirt.h"
#include "paging_hooks.h"

struct paging_hooks paging_hooks;

/* Page tables and directories that were made here. */
u32 tables_allocated;

/* The protections of kernel pages, executable or not, as far as the CPU can tell them apart. */
static entry_t page_kernel = __PAGE_KERNEL;
static entry_t page_kernel_exec = __PAGE_KERNEL;

static int is_kernel_text(u32 address)
{
	return address >= (u32)_text && address < (u32)_etext;
}

static int must_allocate(entry_t entry)
{
	return !(entry & _PAGE_PRESENT) || boot_settings.defect == DEFECT_OVERWRITE;
}

static u32 alloc_table(void)
{
	const void *table = alloc_bootmem_low_pages(PAGE_SIZE);

	if (!table) {
		check_nothing_replaced();
		FAIL("no mapped low memory is left for page tables\n");
	}
	tables_allocated++;
	return __pa(table);
}

/* Makes sure that a root entry leads to a page directory. One that is there is used: it may be a hypervisor's. */
static void one_md_table_init(pgd_t *pgd)
{
#ifdef PAE
	if (must_allocate(pgd->value)) {
		u32 table = alloc_table();

		paging_hooks.alloc_pd(PFN(table));
		/* A root entry of PAE has no rights: the bits where they would be are reserved. */
		paging_hooks.set_pgd(pgd, (pgd_t){ table | _PAGE_PRESENT });
	}
#else
	(void)pgd;
#endif
}

/* The same for a page table. */
static pte_t *one_page_table_init(pmd_t *pmd)
{
	if (must_allocate(pmd->value)) {
		u32 table = alloc_table();

		paging_hooks.alloc_pt(PFN(table));
		paging_hooks.set_pmd(pmd, (pmd_t){ table | _PAGE_TABLE });
	}
	return pmd_page_table(pmd);
}

static pmd_t *one_pmd(pgd_t *base, u32 address)
{
	pgd_t *pgd = base + pgd_index(address);

	one_md_table_init(pgd);
	return pmd_offset(pgd, address);
}

static void map_large_page(pmd_t *pmd, u32 pfn)
{
	u32 first = PAGE_OFFSET + pfn * PAGE_SIZE, last = first + PMD_SIZE - 1;
	entry_t protection = is_kernel_text(first) || is_kernel_text(last) ? page_kernel_exec : page_kernel;

	paging_hooks.set_pmd(pmd, (pmd_t){ pfn * PAGE_SIZE | _PAGE_PSE | protection });
}

static void map_small_pages(pmd_t *pmd, u32 pfn)
{
	u32 address = PAGE_OFFSET + pfn * PAGE_SIZE;
	u32 end = max_low_pfn - pfn < PTRS_PER_PTE ? max_low_pfn : pfn + PTRS_PER_PTE;
	pte_t *pte = one_page_table_init(pmd);

	for (; pfn < end; pfn++, pte++) {
		entry_t protection = is_kernel_text(address) ? page_kernel_exec : page_kernel;

		paging_hooks.set_pte(pte, (pte_t){ pfn * PAGE_SIZE | protection });
		if (boot_settings.defect != DEFECT_NO_ADVANCE)
			address += PAGE_SIZE;
	}
}

/* Leaves are always written, even over others: the entry code knew nothing of large and global pages. */
static void kernel_physical_mapping_init(pgd_t *base)
{
	for (u32 pfn = 0; pfn < max_low_pfn; pfn += PTRS_PER_PTE) {
		pmd_t *pmd = one_pmd(base, PAGE_OFFSET + pfn * PAGE_SIZE);

		if (use_pse)
			map_large_page(pmd, pfn);
		else
			map_small_pages(pmd, pfn);
	}
}

/* Tables without leaves. Both ends are multiples of a pmd; an end of 0 is the top of the address space. */
static void page_table_range_init(u32 start, u32 end, pgd_t *base)
{
	for (u32 address = start; address != end; address += PMD_SIZE)
		one_page_table_init(one_pmd(base, address));
}

static void fixmap_init(pgd_t *base)
{
	u32 end = (FIXADDR_TOP + PMD_SIZE - 1) & PMD_MASK;

	if (boot_settings.defect == DEFECT_FIXMAP_END)
		end = 0;
	page_table_range_init(FIXADDR_START & PMD_MASK, end, base);
}

static void permanent_kmaps_init(pgd_t *base)
{
	if (max_pfn > max_low_pfn)
		page_table_range_init(PKMAP_BASE, PKMAP_BASE + PMD_SIZE, base);
}

static void pagetable_init(pgd_t *base)
{
	paging_hooks.pagetable_setup_start(base);
	if (use_pse)
		paging_hooks.set_in_cr4(CR4_PSE);
	if (use_pge) {
		paging_hooks.set_in_cr4(CR4_PGE);
		page_kernel |= _PAGE_GLOBAL;
		page_kernel_exec |= _PAGE_GLOBAL;
	}
	kernel_physical_mapping_init(base);
	fixmap_init(base);
	permanent_kmaps_init(base);
	paging_hooks.pagetable_setup_done(base);
}

static void set_nx(void)
{
	if (!use_nx)
		return;
	paging_hooks.set_in_efer(EFER_NXE);
	page_kernel |= _PAGE_NX;
}

void paging_init(void)
{
	set_nx();
	pagetable_init(swapper_pg_dir);
	check_new_tables();
	paging_hooks.load_root(__pa(swapper_pg_dir));
#ifdef PAE
	/* With this instruction the CPU takes the root for four 8-byte entries, and loads them. */
	paging_hooks.set_in_cr4(CR4_PAE);
#endif
	paging_hooks.flush_tlb_all();
}
