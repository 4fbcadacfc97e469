/* What the parts of the program share. Read README.md first. */
#ifndef I386_PARAVIRT_H
#define I386_PARAVIRT_H

/* What probe_call gives where there was no page fault. */
#define NO_FAULT 0xffffffff

#ifndef __ASSEMBLER__
#include "../common/io.h"
#include "../common/print.h"
#include "pgtable.h"

/* Defects on demand: each was one once, or is what the hooks are to prevent. */
enum defect {
	DEFECT_NONE,
	DEFECT_NO_ADVANCE,	/* the address stands still while a page table is filled */
	DEFECT_OVERWRITE,	/* tables that are there are replaced */
	DEFECT_FIXMAP_END,	/* the fixmap's tables go on up to address 0 */
	DEFECT_NO_LOW_ALIAS,	/* PAE: low memory is mapped at PAGE_OFFSET only */
};

/*
 * What the loader decides for this program: it finds the structure by its name in the image and writes the fields
 * before the first instruction runs.
 */
struct boot_settings {
	u32 pse;	/* whether large pages may be used, where the CPU has them */
	u32 pge;	/* ... global pages */
	u32 nx;		/* ... execute-disable */
	u32 low_end;	/* the physical end of low memory, where it is to end early; else 0 */
	u32 defect;	/* enum defect */
};

extern struct boot_settings boot_settings;

/* main.c: what of the CPU is used. */
extern int use_pse, use_pge, use_nx;

/* head.S: the tables, and the physical ends of what was built and mapped at the entry. */
extern pgd_t swapper_pg_dir[PAGE_SIZE / sizeof(pgd_t)];
extern u8 empty_zero_page[PAGE_SIZE];
extern u32 init_pg_tables_end, init_map_end;
extern const u8 _text[], _etext[], _end[];

/* bootmem.c: in pages. */
extern u32 max_pfn, max_low_pfn;
struct hvm_start_info;
void setup_memory(const struct hvm_start_info *info);
/* Zeroed, mapped low memory of whole pages, which is never given back; NULL where none is left. */
void *alloc_bootmem_low_pages(u32 size);
/* The physical address behind all that was handed out. */
u32 bootmem_end(void);

/* The top of the address space is left to a hypervisor; the fixed mappings lie below. */
#define TOP_RESERVED 0x800000
#define FIXADDR_TOP (0u - TOP_RESERVED - PAGE_SIZE)
#define FIXMAP_SLOTS 600
#define FIXADDR_START (FIXADDR_TOP - (FIXMAP_SLOTS - 1) * PAGE_SIZE)
/* One pmd of permanent kernel mappings of highmem, below the fixmap. */
#define PKMAP_BASE ((FIXADDR_START & PMD_MASK) - PMD_SIZE)

/* init.c */
extern u32 tables_allocated;
void paging_init(void);

/* exceptions.c */
void load_idt(void);

/* entry.S */
extern const u8 idt_handlers[32][16];
/* Reads a word of each of some pages: how many could be read before the first that could not. */
u32 probe_read_pages(const void *address, u32 pages);
/* The error code of the page fault, or NO_FAULT. */
u32 probe_call(const void *address);

/* checks-before.c, checks.c */
void check_nothing_replaced(void);
void check_new_tables(void);
void check_paging(void);

/* Ends the machine with a sentence. */
#define FAIL(...)                                                                                                      \
	do {                                                                                                           \
		print("FAILED: " __VA_ARGS__);                                                                         \
		outl(DEBUG_EXIT_PORT, 1);                                                                              \
		halt();                                                                                                \
	} while (0)

#endif

#endif
