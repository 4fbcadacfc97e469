/* Formatted text. */
#include "console.h"
#include "print.h"

static void put_string(const char *s)
{
	while (*s)
		console_put(*s++);
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
		console_put(digits[--n]);
}

void print(const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			console_put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			put_string(__builtin_va_arg(args, const char *));
			break;
		case 'c':
			console_put((char)__builtin_va_arg(args, u64));
			break;
		case 'd':
			put_number(__builtin_va_arg(args, u64), 10);
			break;
		case 'x':
			put_number(__builtin_va_arg(args, u64), 16);
			break;
		default:
			console_put(*format);
		}
	}
	__builtin_va_end(args);
}
