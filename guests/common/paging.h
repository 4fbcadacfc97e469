/*
 * Addresses and entry bits of the 64-bit boot programs. For C and for assembly.
 */
#ifndef PAGING_H
#define PAGING_H

#ifdef __ASSEMBLER__
#define _AC(x) x
#else
#define _AC(x) x##ull
#endif

#define PAGE_SIZE 4096
#define PAGE_SHIFT 12
#define PMD_SHIFT 21
#define PUD_SHIFT 30
#define PGDIR_SHIFT 39
#define PTRS_PER_TABLE 512

/* Where all of physical memory is mapped (a program may choose for itself), and where the kernel's image is. */
#ifndef __PAGE_OFFSET
#define __PAGE_OFFSET _AC(0xffff880000000000)
#endif
#define __START_KERNEL_map _AC(0xffffffff80000000)
#define MAX_PHYSMEM_BITS 46
#define L4_PAGE_OFFSET 272
#define L4_START_KERNEL 511
#define L3_START_KERNEL 510
#define L3_FIXMAP 511
#define L2_FIXMAP 506

#define _PAGE_PRESENT _AC(0x001)
#define _PAGE_RW _AC(0x002)
#define _PAGE_PSE _AC(0x080)
#define _PAGE_GLOBAL _AC(0x100)
#define _PAGE_NX _AC(0x8000000000000000)

#define _KERNPG_TABLE _AC(0x063)
#define _PAGE_TABLE _AC(0x067)
#define __PAGE_KERNEL _AC(0x8000000000000163)
#define __PAGE_KERNEL_LARGE _AC(0x80000000000001e3)
#define __PAGE_KERNEL_LARGE_EXEC _AC(0x1e3)

/* A leaf of CPUID, and what its EDX says. */
#define CPUID_EXTENDED 0x80000001
#define CPUID_NX (1u << 20)
#define CPUID_GBPAGES (1u << 26)

#define __KERNEL_CS 0x10
#define __KERNEL_DS 0x18

#ifndef __ASSEMBLER__
#include "types.h"

#define MAXMEM (1ull << MAX_PHYSMEM_BITS)
#define PMD_SIZE (1ull << PMD_SHIFT)
#define PUD_SIZE (1ull << PUD_SHIFT)
#define PGDIR_SIZE (1ull << PGDIR_SHIFT)
#define CR4_PGE (1ull << 7)

/* The physical address in an entry. */
#define PTE_PFN_MASK 0x000ffffffffff000ull

static inline unsigned pgd_index(u64 address)
{
	return (address >> PGDIR_SHIFT) & (PTRS_PER_TABLE - 1);
}

static inline unsigned pud_index(u64 address)
{
	return (address >> PUD_SHIFT) & (PTRS_PER_TABLE - 1);
}

static inline unsigned pmd_index(u64 address)
{
	return (address >> PMD_SHIFT) & (PTRS_PER_TABLE - 1);
}

static inline unsigned pte_index(u64 address)
{
	return (address >> 12) & (PTRS_PER_TABLE - 1);
}

/* The address of physical memory in the direct map. Reading there may need a page that is only made by the fault. */
static inline void *__va(u64 physical)
{
	return (void *)(physical + __PAGE_OFFSET);
}

static inline u64 read_cr2(void)
{
	u64 value;

	asm volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline u64 read_cr3(void)
{
	u64 value;

	asm volatile("mov %%cr3, %0" : "=r"(value) : : "memory");
	return value;
}

static inline void write_cr3(u64 value)
{
	asm volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline u64 read_cr4(void)
{
	u64 value;

	asm volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr4(u64 value)
{
	asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

/* CR3 alone leaves global entries; toggling PGE does not. */
static inline void flush_global_tlb(void)
{
	u64 cr4 = read_cr4();

	write_cr4(cr4 & ~CR4_PGE);
	write_cr4(cr4);
}

static inline void invlpg(u64 address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void cpuid(u32 leaf, u32 *a, u32 *b, u32 *c, u32 *d)
{
	asm volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(0));
}
#endif

#endif
