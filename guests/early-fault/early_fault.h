/* What the parts of the program share. Read README.md first. */
#ifndef EARLY_FAULT_H
#define EARLY_FAULT_H

/* Pages of the pool. `boot_settings.pool` may use fewer, so that resets are easy to see. */
#define EARLY_DYNAMIC_PAGE_TABLES 64

#ifndef __ASSEMBLER__
#include "../common/e820.h"
#include "../common/paging.h"

typedef u64 table_t[PTRS_PER_TABLE];

/*
 * What the loader decides for this program: it finds the structure by its name in the image and writes the fields
 * before the first instruction runs.
 */
struct boot_settings {
	u32 pool;	/* pages of the pool that may be used, 2..64 */
	u32 gbpages;	/* whether the direct map may use 1 GiB pages */
	u32 checksum;	/* whether to read every byte of the ramdisk, not only its headers */
	u32 stray;	/* whether to touch unmapped memory just after the switchover */
};

extern struct boot_settings boot_settings;

/* head.S: the tables, and how far from where it was linked the kernel lies. */
extern table_t early_level4_pgt;
extern table_t early_dynamic_pgts[EARLY_DYNAMIC_PAGE_TABLES];
extern table_t init_level4_pgt;
extern u64 phys_base;
extern const char _text[], _end[], __bss_start[], __bss_stop[];

/* tables.c */
extern u32 early_pgt_resets, early_pgt_faults;
u64 __pa_symbol(const void *symbol);
void reset_early_page_tables(void);
int early_make_pgtable(u64 address);

/* exceptions.c */
void load_early_idt(void);
void install_final_page_fault(void);
/* Reads a word that may not be there: false where it is not. */
int probe_kernel_address(const void *address, u64 *value);

/* main.c: copies of what the loader handed over. */
#define COMMAND_LINE_SIZE 2048
extern char boot_command_line[COMMAND_LINE_SIZE];

/* microcode.c */
void scan_ramdisk(u64 physical, u64 size);

/* direct_map.c */
void build_direct_map(void);

/* entry.S */
extern const u8 early_idt_handlers[32][16];
#endif

#endif
