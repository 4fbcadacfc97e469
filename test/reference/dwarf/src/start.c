#include "scale.h"

int table[4] = {1, 2, 3, 5};

int scaled(int index);

__attribute__((section(".init.text"))) void _start(void)
{
	int sum = 0;

	for (int i = 0; i < 4; i++)
		sum += scale(table[i], scaled(i));
	table[0] = sum;
	for (;;)
		;
}
