/* The three memory functions that GCC may call. */
#ifndef MEMORY_H
#define MEMORY_H

void *memset(void *to, int byte, unsigned long count);
void *memcpy(void *to, const void *from, unsigned long count);
int memcmp(const void *a, const void *b, unsigned long count);

#endif
