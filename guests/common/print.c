/* Text on the first serial port (16550 at 3F8H). */
#include "io.h"
#include "print.h"

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
	if (c == '\n')
		put('\r');
	while (!(inb(LINE_STATUS) & TRANSMITTER_EMPTY))
		;
	outb(COM1, c);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(u64 value, unsigned base)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		put(digits[--n]);
}

void print(const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			put_string(__builtin_va_arg(args, const char *));
			break;
		case 'c':
			put((char)__builtin_va_arg(args, u64));
			break;
		case 'd':
			put_number(__builtin_va_arg(args, u64), 10);
			break;
		case 'x':
			put_number(__builtin_va_arg(args, u64), 16);
			break;
		default:
			put(*format);
		}
	}
	__builtin_va_end(args);
}
