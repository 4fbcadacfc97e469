/* The C part of the boot, from the first line to the end of the machine. */
#include "../common/serial.h"
#include "cpu.h"
#include "hvm_start_info.h"
#include "i386_paravirt.h"
#include "paging_hooks.h"

/* The loader writes here before the program starts: see i386_paravirt.h. */
struct boot_settings boot_settings __attribute__((section(".data"))) = {
	.pse = 1,
	.pge = 1,
	.nx = 1,
};

int use_pse, use_pge, use_nx;

#ifdef PAE
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

void __attribute__((noreturn)) i386_start_kernel(u32 start_info)
{
	paging_hooks = native_paging_hooks;
	load_idt();
	serial_init();
	choose_features();
	setup_memory(__va(start_info));
	paging_init();
	check_paging();
	print("ok\n");
	outl(DEBUG_EXIT_PORT, 0);
	halt();
}
