#include "scale.h"

int scaled(int index)
{
	if (index & 1)
		return scale(index, 3);
	return -index;
}

static int hidden(int index)
{
	return scale(index, index) + 1;
}

int (*pointer)(int) = hidden;
