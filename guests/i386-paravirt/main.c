/* The way of every boot, from the features of the CPU to the end of the machine. */
#include "cpu.h"
#include "i386_paravirt.h"

/* The loader writes here before the program starts: see i386_paravirt.h. */
struct boot_settings boot_settings __attribute__((section(".data"))) = {
	.pse = 1,
	.pge = 1,
	.nx = 1,
};

int use_pse, use_pge, use_nx;

#if defined(XEN)
static const char variant[] = "xen-pae";
#elif defined(PAE)
static const char variant[] = "native-pae";
#else
static const char variant[] = "native";
#endif

static void choose_features(void)
{
	u32 features = cpuid_edx(CPUID_FEATURES);

	use_pse = boot_settings.pse && (features & CPUID_PSE);
	use_pge = boot_settings.pge && (features & CPUID_PGE);
#ifdef PAE
	if (!(features & CPUID_PAE))
		FAIL("this CPU has no PAE\n");
	/* 2-level entries have no place for it. */
	use_nx = boot_settings.nx && (cpuid_edx(CPUID_EXTENDED) & CPUID_NX);
#endif
	print("%s:%s%s%s\n", variant, use_pse ? " PSE" : "", use_pge ? " PGE" : "", use_nx ? " NX" : "");
}

void start_kernel(void)
{
	choose_features();
	setup_memory();
	paging_init();
	check_paging();
	print("ok\n");
	end_machine(END_OK);
}
