/* 64-bit division, which gcc leaves to functions on 32-bit CPUs. Divisors here fit 32 bits. */
#include "../common/types.h"

/* Divides in place; gives the remainder. */
static u32 divide(u64 *value, u32 divisor)
{
	u32 high = *value >> 32, low = *value;
	u32 quotient = high / divisor, rest = high % divisor;

	/* The rest is below the divisor, so that the quotient fits. */
	asm("divl %2" : "+a"(low), "+d"(rest) : "r"(divisor));
	*value = (u64)quotient << 32 | low;
	return rest;
}

u64 __udivdi3(u64 value, u64 divisor)
{
	divide(&value, divisor);
	return value;
}

u64 __umoddi3(u64 value, u64 divisor)
{
	return divide(&value, divisor);
}
