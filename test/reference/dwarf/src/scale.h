static inline int scale(int value, int factor)
{
	if (factor > 7)
		return value;
	return value * factor;
}
