/* Text on the first serial port (16550 at 3F8H). */
#include "console.h"
#include "io.h"
#include "serial.h"

#define COM1 0x3f8
#define LINE_STATUS (COM1 + 5)
#define TRANSMITTER_EMPTY 0x20

void serial_init(void)
{
	outb(COM1 + 1, 0x00);	/* no interrupts */
	outb(COM1 + 3, 0x80);	/* the divisor: 1, for 115200 baud */
	outb(COM1 + 0, 0x01);
	outb(COM1 + 1, 0x00);
	outb(COM1 + 3, 0x03);	/* 8 bits, no parity, one stop bit */
	outb(COM1 + 2, 0x01);	/* FIFOs on */
}

static void put(char c)
{
	while (!(inb(LINE_STATUS) & TRANSMITTER_EMPTY))
		;
	outb(COM1, c);
}

void console_put(char c)
{
	if (c == '\n')
		put('\r');
	put(c);
}
