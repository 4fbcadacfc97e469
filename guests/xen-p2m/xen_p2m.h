/* What the parts of the program share. Read README.md first. */
#ifndef XEN_P2M_H
#define XEN_P2M_H

#include "../common/e820.h"
#include "../common/memory.h"
#include "../common/xen64.h"

/* Steps that can be left out or done wrong on demand, to see what the hypervisor says. */
enum defect {
	DEFECT_NONE,
	DEFECT_WRITABLE_ROOT,	/* the new root is pinned while it is mapped writable */
	DEFECT_WRITABLE_TABLE,	/* a new table is linked while it is mapped writable */
	DEFECT_NO_MASK,		/* the P->M list's tables are mapped writable in the direct map */
	DEFECT_NO_SLOT,		/* the L4 slot of the list is not copied into the new root */
	DEFECT_READ_ONLY,	/* freed pages are left read-only */
	DEFECT_KEEP_SLOT,	/* the L4 slot is not cleared before the list's tables are freed */
};

/*
 * What the loader decides for this program: it finds the structure by its name in the image and writes the fields
 * before the first instruction runs.
 */
struct boot_settings {
	u32 defect;	/* enum defect */
};

extern struct boot_settings boot_settings;

typedef u64 table_t[PTRS_PER_TABLE];

/* pagetable.c: static tables. */
extern table_t init_level4_pgt, level3_kernel_pgt;

/* frames.c: frames of the domain that are free, and who has the others. */
#define MAX_RAM 8
extern struct range ram[MAX_RAM];
extern unsigned ram_ranges;
void memory_init(void);
/* The first frame of free memory behind all that the builder made. */
u64 free_start(void);
/* Frames that follow each other; stops where there are not as many. */
u64 alloc_frames(u64 count);
/* A frame for a table; none of these is ever given back. */
u64 alloc_table_frame(void);
int is_table_frame(u64 pfn);
void free_frames(u64 pfn, u64 count);
int is_freed(u64 pfn);
u64 free_count(void);

/* pagetable.c */
void setup_kernel_pagetable(void);
/* The entry of a level that translates an address; NULL where a table above is missing. */
const u64 *lookup(u64 address, unsigned level);
/* Where a frame can be reached; frames behind the initial mapping only once they are in the direct map. */
void *frame_address(u64 pfn);
/* In every mapping of the frame. */
void make_read_only(u64 pfn);
void make_writable(u64 pfn);

/* direct_map.c */
void build_direct_map(void);
extern u64 direct_mapped;
extern int direct_map_is_complete;

/* p2m.c */
void copy_p2m(void);
void pagetable_p2m_free(void);

extern u64 freed_list_frames, freed_table_frames;

/* check.c */
void check_all(u64 free_before);

#endif
