/* How much is mapped by pages of which size, as /proc/meminfo tells it. */
#include "../common/print.h"
#include "direct_map.h"

#define NUMBER_COLUMN 24

/* By the level of the entry that maps a page: 4 KiB, 2 MiB, 1 GiB. */
static u64 direct_pages_count[4];

void update_page_count(unsigned level, u64 pages)
{
	direct_pages_count[level] += pages;
}

static void print_line(const char *name, u64 kilobytes)
{
	unsigned width = 1;

	for (const char *c = name; *c; c++)
		width++;
	for (u64 rest = kilobytes; rest >= 10; rest /= 10)
		width++;
	print("%s", name);
	for (; width < NUMBER_COLUMN; width++)
		print(" ");
	print("%d kB\n", kilobytes);
}

void print_meminfo(void)
{
	print_line("DirectMap4k:", direct_pages_count[1] << 2);
	print_line("DirectMap2M:", direct_pages_count[2] << 11);
	print_line("DirectMap1G:", direct_pages_count[3] << 20);
}
