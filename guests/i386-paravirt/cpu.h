/* Control registers, CPUID and MSRs. */
#ifndef CPU_H
#define CPU_H

#include "../common/types.h"

#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_PGE (1u << 7)

#define CPUID_FEATURES 1
#define CPUID_PSE (1u << 3)
#define CPUID_PAE (1u << 6)
#define CPUID_PGE (1u << 13)
#define CPUID_EXTENDED 0x80000001
#define CPUID_NX (1u << 20)

#define MSR_EFER 0xc0000080
#define EFER_NXE (1u << 11)

static inline u32 read_cr2(void)
{
	u32 value;

	asm volatile("movl %%cr2, %0" : "=r"(value));
	return value;
}

static inline void write_cr3(u32 value)
{
	asm volatile("movl %0, %%cr3" : : "r"(value) : "memory");
}

static inline u32 read_cr3(void)
{
	u32 value;

	asm volatile("movl %%cr3, %0" : "=r"(value) : : "memory");
	return value;
}

static inline u32 read_cr4(void)
{
	u32 value;

	asm volatile("movl %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr4(u32 value)
{
	asm volatile("movl %0, %%cr4" : : "r"(value) : "memory");
}

#ifdef XEN
/* A hypervisor that sees this invalid instruction before CPUID answers in place of the CPU. */
#define CPUID ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; cpuid"
#else
#define CPUID "cpuid"
#endif

/* EDX of a leaf of CPUID; 0 where the CPU does not have that leaf. */
static inline u32 cpuid_edx(u32 leaf)
{
	u32 a = leaf & 0x80000000, b, c = 0, d;

	asm volatile(CPUID : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (a < leaf)
		return 0;
	a = leaf;
	c = 0;
	asm volatile(CPUID : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return d;
}

static inline u64 rdmsr(u32 index)
{
	u64 value;

	asm volatile("rdmsr" : "=A"(value) : "c"(index));
	return value;
}

static inline void wrmsr(u32 index, u64 value)
{
	asm volatile("wrmsr" : : "A"(value), "c"(index));
}

#endif
