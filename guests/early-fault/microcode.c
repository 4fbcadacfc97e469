/*
 * Looks for a CPU microcode update in the ramdisk, a cpio archive in the "newc" format, through the direct map. Only
 * the headers are read, so it touches as many GiB as the archive spans and as few bytes as it can.
 */
#include "../common/memory.h"
#include "../common/print.h"
#include "early_fault.h"

/* A newc header: "070701", then 13 fields of 8 hexadecimal digits; the name follows, then the data. */
#define HEADER_BYTES 110
#define FIELD_FILE_SIZE 6
#define FIELD_NAME_SIZE 11
/* PATH_MAX of Linux, which makes such archives. */
#define LONGEST_NAME 4096

static const char *const microcode_names[] = {
	"kernel/x86/microcode/GenuineIntel.bin",
	"kernel/x86/microcode/AuthenticAMD.bin",
};

/* Eight hexadecimal digits, or -1. */
static s64 field(const char *header, unsigned number)
{
	const char *digits = header + 6 + 8 * number;
	s64 value = 0;

	for (unsigned i = 0; i < 8; i++) {
		char c = digits[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

static u64 align4(u64 value)
{
	return (value + 3) & ~3ull;
}

static int is_name(const char *name, u64 length, const char *wanted)
{
	unsigned i;

	for (i = 0; wanted[i]; i++) {
		if (i >= length || name[i] != wanted[i])
			return 0;
	}
	return i + 1 == length && !name[i];
}

/* Adds up memory in words: every page is read. */
static u64 sum(const u32 *words, u64 bytes)
{
	u64 total = 0;

	for (u64 i = 0; i < bytes / sizeof(*words); i++)
		total += words[i];
	return total;
}

void scan_ramdisk(u64 physical, u64 size)
{
	const char *start = __va(physical);
	u64 offset = 0, files = 0, found = 0, total = 0;

	while (offset + HEADER_BYTES <= size) {
		const char *header = start + offset;
		s64 file_size, name_size;
		const char *name;
		u64 data;

		if (memcmp(header, "070701", 6)) {
			print("ramdisk: no cpio header at offset %x\n", offset);
			return;
		}
		file_size = field(header, FIELD_FILE_SIZE);
		name_size = field(header, FIELD_NAME_SIZE);
		if (file_size < 0 || name_size < 1 || name_size > LONGEST_NAME) {
			print("ramdisk: a malformed cpio header at offset %x\n", offset);
			return;
		}
		name = header + HEADER_BYTES;
		data = align4(offset + HEADER_BYTES + name_size);
		if (data + file_size > size) {
			print("ramdisk: the file at offset %x does not end within it\n", offset);
			return;
		}
		if (is_name(name, name_size, "TRAILER!!!"))
			break;
		for (unsigned i = 0; i < ARRAY_SIZE(microcode_names); i++) {
			if (is_name(name, name_size, microcode_names[i])) {
				print("microcode: %s at %x, %d bytes\n", microcode_names[i], physical + data, file_size);
				found++;
			}
		}
		if (boot_settings.checksum)
			total += sum((const u32 *)(start + data), file_size);
		files++;
		offset = align4(data + file_size);
	}
	if (!found)
		print("microcode: none\n");
	if (boot_settings.checksum)
		print("ramdisk: checksum %x\n", total);
	print("ramdisk: %d files\n", files);
}
