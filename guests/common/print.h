/* Text on the console. */
#ifndef PRINT_H
#define PRINT_H

#include "types.h"

/*
 * Prints a format with %s (string), %c (character), %d (u64 in decimal), %x (u64 in hexadecimal without 0x) and %%.
 * Every argument but %s's is a u64.
 */
void print(const char *format, ...);

#endif
