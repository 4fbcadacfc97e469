/* Text on the first serial port. */
#ifndef PRINT_H
#define PRINT_H

#include "types.h"

/* Sets the port to 115200 8N1. Needs no memory, so it may be called at any time. */
void serial_init(void);

/*
 * Prints a format with %s (string), %c (character), %d (u64 in decimal), %x (u64 in hexadecimal without 0x) and %%.
 * Every argument but %s's is a u64.
 */
void print(const char *format, ...);

#endif
