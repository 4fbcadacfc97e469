/*
 * The "zero page" that a Linux boot loader hands over, as far as the boot programs read it: offsets by the x86 boot
 * protocol.
 */
#ifndef BOOT_PARAMS_H
#define BOOT_PARAMS_H

#include "types.h"

#define E820_RAM 1
#define E820_MAX 128

struct e820_entry {
	u64 address;
	u64 size;
	u32 type;
} __attribute__((packed));

struct boot_params {
	u8 pad0[0x0c0];
	u32 ext_ramdisk_image;		/* 0c0: bits 32.. of the ramdisk's address */
	u32 ext_ramdisk_size;		/* 0c4 */
	u32 ext_cmd_line_ptr;		/* 0c8 */
	u8 pad1[0x1e8 - 0x0cc];
	u8 e820_entries;		/* 1e8 */
	u8 pad2[0x218 - 0x1e9];
	u32 ramdisk_image;		/* 218 */
	u32 ramdisk_size;		/* 21c */
	u8 pad3[0x228 - 0x220];
	u32 cmd_line_ptr;		/* 228 */
	u8 pad4[0x2d0 - 0x22c];
	struct e820_entry e820_table[E820_MAX];	/* 2d0 */
	u8 pad5[0x1000 - 0x2d0 - E820_MAX * 20];
} __attribute__((packed));

_Static_assert(sizeof(struct boot_params) == 4096, "boot_params is one page");
_Static_assert(__builtin_offsetof(struct boot_params, e820_table) == 0x2d0, "e820 at 2d0");

static inline u64 ramdisk_address(const struct boot_params *params)
{
	return (u64)params->ext_ramdisk_image << 32 | params->ramdisk_image;
}

static inline u64 ramdisk_bytes(const struct boot_params *params)
{
	return (u64)params->ext_ramdisk_size << 32 | params->ramdisk_size;
}

static inline u64 command_line_address(const struct boot_params *params)
{
	return (u64)params->ext_cmd_line_ptr << 32 | params->cmd_line_ptr;
}

#endif
