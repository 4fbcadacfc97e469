/* What the compiler takes for granted. */
#include "memory.h"

void *memset(void *to, int byte, unsigned long count)
{
	void *d = to;

	asm volatile("rep stosb" : "+D"(d), "+c"(count) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, unsigned long count)
{
	void *d = to;

	asm volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(count) : : "memory");
	return to;
}

int memcmp(const void *a, const void *b, unsigned long count)
{
	const unsigned char *p = a, *q = b;

	for (; count; count--, p++, q++) {
		if (*p != *q)
			return *p - *q;
	}
	return 0;
}
