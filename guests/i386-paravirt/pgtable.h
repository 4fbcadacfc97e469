/*
 * Addresses, entries and tables of 32-bit paging, in 2-level and (with PAE defined) PAE format. For C and for assembly.
 */
#ifndef PGTABLE_H
#define PGTABLE_H

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096

/* Low memory is mapped from here on, and the kernel is linked here, 1 MiB up. */
#define PAGE_OFFSET 0xc0000000
/* From here on the address space is a hypervisor's: all of it that is there, or a little in case of one. */
#ifdef XEN
#define RESERVED_START 0xf5800000
#else
#define RESERVED_START 0xff800000
#endif
/* What the kernel maps as it likes, with the fixed mappings at its end. */
#define MAPPING_SPACE 0x7800000
/* What fits between PAGE_OFFSET and that; the rest of memory is highmem. */
#define MAXMEM (RESERVED_START - MAPPING_SPACE - PAGE_OFFSET)

#define _PAGE_PRESENT 0x001
#define _PAGE_RW 0x002
#define _PAGE_PSE 0x080
#define _PAGE_GLOBAL 0x100
#define _PAGE_TABLE 0x067
#define __PAGE_KERNEL 0x063

/* The tables of the entry assembly: 2-level, whatever follows. */
#define BOOT_PGDIR_SHIFT 22
#define BOOT_PTRS_PER_TABLE 1024

#ifdef PAE
#define PGDIR_SHIFT 30
#define PMD_SHIFT 21
#define PTRS_PER_PGD 4
#define PTRS_PER_PTE 512
#define USER_PTRS_PER_PGD 3
#define KERNEL_PGD_PTRS 1
#else
/* The middle level is folded: a pmd is the root's entry itself. */
#define PGDIR_SHIFT 22
#define PMD_SHIFT 22
#define PTRS_PER_PGD 1024
#define PTRS_PER_PTE 1024
#define USER_PTRS_PER_PGD 768
#define KERNEL_PGD_PTRS 256
#endif
#define PMD_SIZE (1 << PMD_SHIFT)

/* The boot allocator's bitmap, and every page table that low memory and the fixed mappings can need. */
#define BITMAP_MAX (MAXMEM / PAGE_SIZE / 8)
#define INIT_MAP_BEYOND_END (BITMAP_MAX + (MAXMEM / PMD_SIZE + 8) * PAGE_SIZE)

/* Slots of the hypercall page have 32 bytes. */
#define HYPERCALL_SHIFT 5

#define __KERNEL_CS 0x10
#define __KERNEL_DS 0x18

#ifndef __ASSEMBLER__
#include "../common/types.h"

#ifdef PAE
typedef u64 entry_t;
#define _PAGE_NX 0x8000000000000000ull
#define PTE_PFN_MASK 0x000ffffffffff000ull
#else
typedef u32 entry_t;
#define _PAGE_NX 0
#define PTE_PFN_MASK 0xfffff000u
#endif

/* An entry of each level; the compiler keeps them apart. */
typedef struct {
	entry_t value;
} pte_t;
typedef struct {
	entry_t value;
} pmd_t;
typedef struct {
	entry_t value;
} pgd_t;

#define PMD_MASK (~(PMD_SIZE - 1u))
#define PFN(physical) ((physical) >> PAGE_SHIFT)

static inline void *__va(u32 physical)
{
	return (void *)(physical + PAGE_OFFSET);
}

static inline u32 __pa(const void *address)
{
	return (u32)address - PAGE_OFFSET;
}

static inline unsigned pgd_index(u32 address)
{
	return address >> PGDIR_SHIFT;
}

static inline unsigned pte_index(u32 address)
{
	return (address >> PAGE_SHIFT) & (PTRS_PER_PTE - 1);
}

/*
 * Between an entry and the memory that the kernel knows. Under a hypervisor entries hold machine frames, and the
 * kernel counts frames of its domain.
 */
#ifdef XEN
extern const u32 *machine_to_phys;

static inline u64 entry_physical(entry_t value)
{
	return (u64)machine_to_phys[(value & PTE_PFN_MASK) >> PAGE_SHIFT] << PAGE_SHIFT;
}
#else
static inline u64 entry_physical(entry_t value)
{
	return value & PTE_PFN_MASK;
}
#endif

/* The pmd slot of an address, in the table that its root entry leads to. */
static inline pmd_t *pmd_offset(const pgd_t *pgd, u32 address)
{
#ifdef PAE
	return (pmd_t *)__va(entry_physical(pgd->value)) + ((address >> PMD_SHIFT) & 511);
#else
	(void)address;
	return (pmd_t *)pgd;
#endif
}

/* The page table that a pmd leads to. */
static inline pte_t *pmd_page_table(const pmd_t *pmd)
{
	return __va(entry_physical(pmd->value));
}

static inline int pmd_is_table(const pmd_t *pmd)
{
	return (pmd->value & (_PAGE_PRESENT | _PAGE_PSE)) == _PAGE_PRESENT;
}
#endif

#endif
