/*
 * Memory that belongs to the image but not to any variable, for what is only known while booting. It is handed out
 * from its end downwards: a kernel loaded across a GiB boundary then has data on both sides of it from the start.
 */
#include "../common/io.h"
#include "../common/memory.h"
#include "../common/print.h"
#include "early_fault.h"

extern char __brk_base[], __brk_limit[];

static char *brk_start = __brk_limit;

/* Zeroed memory that stays; aligned to 16 bytes. */
void *alloc_brk(u64 size)
{
	u64 rounded = (size + 15) & ~15ull;

	if (rounded > (u64)(brk_start - __brk_base)) {
		print("out of brk\n");
		halt();
	}
	brk_start -= rounded;
	return memset(brk_start, 0, rounded);
}
