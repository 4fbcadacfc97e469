/* Interrupt gates of the boot programs. */
#ifndef IDT_H
#define IDT_H

#include "types.h"

#define EXCEPTIONS 32
#define PAGE_FAULT 14

/* Makes a vector below EXCEPTIONS enter `handler`. */
void set_intr_gate(unsigned vector, const void *handler);

/* Makes the CPU use the gates. */
void load_idt(void);

/* page_fault.S: calls report_page_fault, which each program has and which does not return. */
void final_page_fault(void);
void report_page_fault(u64 cr2, u64 error, u64 rip) __attribute__((noreturn));

#endif
