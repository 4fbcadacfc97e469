/* What the parts of the program share. Read README.md first. */
#ifndef XEN_P2M_H
#define XEN_P2M_H

#include "../common/memory.h"
#include "../common/paging.h"
#include "../common/print.h"
#include "../common/xen.h"

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

/* Xen maps a page of the guest's kernel for user mode: the kernel runs there. */
#define PAGE_RO 0x8000000000000061ull
#define PAGE_RW 0x8000000000000063ull
#define PAGE_RX 0x61ull

/* entry.S: static tables, and the ends of the image. */
extern table_t init_level4_pgt, level3_kernel_pgt;
extern const u8 _text[], _etext[], _end[];
/* The handlers of exceptions, by vector: 0 where there is none. */
extern const xen_word trap_entries[32];

/* main.c: what the builder has told, kept from before its page is given back. */
extern struct start_info start_info;
/* Frame numbers as the builder gave them: machine frames by the domain's, and the other way around. */
extern const u64 *machine_to_phys;

#define INVALID_MFN (~0ull)

u64 pfn_to_mfn(u64 pfn);
static inline u64 mfn_to_pfn(u64 mfn)
{
	return machine_to_phys[mfn];
}

/* The physical address (as the domain counts it) of what the builder has mapped at the kernel's addresses. */
static inline u64 __pa(const void *address)
{
	return (u64)address - __START_KERNEL_map;
}

/* Whether the P->M list lies outside of the initial mapping. */
int p2m_is_outside(void);

/* frames.c: frames of the domain that are free, and who has the others. */
struct range {
	u64 start, end;
};

#define MAX_RAM 8
extern struct range ram[MAX_RAM];
extern unsigned ram_ranges;
void memory_init(void);
/* The frame behind the initial mapping. */
u64 initial_mapping_end(void);
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

/* hypercalls.c: each stops with a sentence where the hypervisor refuses. */
void set_entry(u64 machine_address, u64 value);
void update_va(const void *address, u64 value, unsigned flags);
void mmuext(unsigned command, u64 arg);
void set_traps(void);

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

/* Ends the machine with a sentence. */
#define FAIL(...)                                                                                                      \
	do {                                                                                                           \
		print("FAILED: " __VA_ARGS__);                                                                         \
		shut_down(SHUTDOWN_crash);                                                                             \
	} while (0)

#endif
