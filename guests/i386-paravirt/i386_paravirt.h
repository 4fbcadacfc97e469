/* What the parts of the program share. Read README.md first. */
#ifndef I386_PARAVIRT_H
#define I386_PARAVIRT_H

/* What probe_call gives where there was no page fault. */
#define NO_FAULT 0xffffffff

#ifndef __ASSEMBLER__
#include "../common/print.h"
#include "pgtable.h"

/* Defects on demand: each was one once, or is what the hooks are to prevent. */
enum defect {
	DEFECT_NONE,
	DEFECT_NO_ADVANCE,	/* the address stands still while a page table is filled */
	DEFECT_OVERWRITE,	/* tables that are there are replaced */
	DEFECT_FIXMAP_END,	/* the fixmap's tables go on up to address 0 */
	DEFECT_NO_LOW_ALIAS,	/* native PAE: low memory is mapped at PAGE_OFFSET only */
	DEFECT_WRITABLE_TABLE,	/* Xen: a new table is linked while it is mapped writable */
	DEFECT_WRITABLE_ALIAS,	/* Xen: set_pte makes read-only mappings writable, those of tables too */
	DEFECT_DIRECT_WRITE,	/* Xen: set_pte writes the entry itself, and asks nobody */
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

/* pages.S */
extern pgd_t swapper_pg_dir[PAGE_SIZE / sizeof(pgd_t)];
extern u8 empty_zero_page[PAGE_SIZE];
/*
 * head.S, xen_machine.c: the physical ends of what was there at the entry, tables included, and of what is mapped at
 * PAGE_OFFSET.
 */
extern u32 init_pg_tables_end, init_map_end;
extern const u8 _text[], _etext[], _end[];

/* bootmem.c: in pages. */
extern u32 max_pfn, max_low_pfn;
/* A range of memory, in bytes; before setup_memory. */
void add_ram(u64 start, u64 end);
void setup_memory(void);
/* Zeroed, mapped low memory of whole pages, which is never given back; NULL where none is left. */
void *alloc_bootmem_low_pages(u32 size);
/* The physical address behind all that was handed out. */
u32 bootmem_end(void);

/* The fixed mappings lie below what is reserved at the top of the address space. */
#define FIXADDR_TOP (RESERVED_START - PAGE_SIZE)
#define FIXMAP_SLOTS 600
#define FIXADDR_START (FIXADDR_TOP - (FIXMAP_SLOTS - 1) * PAGE_SIZE)
/* One pmd of permanent kernel mappings of highmem, below the fixmap. */
#define PKMAP_BASE ((FIXADDR_START & PMD_MASK) - PMD_SIZE)

/* init.c */
extern u32 tables_allocated;
void paging_init(void);

/* main.c: all that follows, once memory and the handlers of exceptions are known. */
void __attribute__((noreturn)) start_kernel(void);

/* native_machine.c, xen_machine.c */
enum end { END_OK, END_FAILED };
void __attribute__((noreturn)) end_machine(enum end end);

/* entry.S */
#define EXCEPTIONS 32
extern const u8 idt_handlers[EXCEPTIONS][16];
/* Reads a word of each of some pages: how many could be read before the first that could not. */
u32 probe_read_pages(const void *address, u32 pages);
/* The error code of the page fault, or NO_FAULT. */
u32 probe_call(const void *address);

/* checks-before.c, checks.c */
void check_nothing_replaced(void);
void check_new_tables(void);
void check_paging(void);
/* checks-native.c, checks-xen.c: what this variant alone promises. */
void check_variant(void);
/* Tables that were there at the entry and must be linked still. */
u32 kept_tables(void);

/* Ends the machine with a sentence. */
#define FAIL(...)                                                                                                      \
	do {                                                                                                           \
		print("FAILED: " __VA_ARGS__);                                                                         \
		end_machine(END_FAILED);                                                                               \
	} while (0)

#endif

#endif
