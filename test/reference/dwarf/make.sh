#!/bin/sh
# Builds the images and records what binutils' addr2line says of each of their instructions.
cd "$(dirname "$0")" || exit 1
build() {
	out=$1
	shift
	gcc -O2 -ffunction-sections -nostdlib -static -no-pie -fno-asynchronous-unwind-tables -Wl,--build-id=none,-z,noexecstack \
		-ffile-prefix-map="$PWD"=/build "$@" src/start.c src/scaled.c src/label.S -o "$out.elf"
	objdump -d --no-show-raw-insn "$out.elf" | grep -oE '^ +[0-9a-f]+:' | tr -d ' :' |
		while read -r address; do
			echo "0x$address $(addr2line -e "$out.elf" "0x$address" | sed 's/ (discriminator.*//')"
		done >"$out.txt"
}
build dwarf4 -gdwarf-4
build dwarf5 -gdwarf-5
# The assembler of binutils 2.40 writes line numbers of the 64-bit format wrongly: here the compiler writes them itself.
build dwarf4-64 -gdwarf-4 -gdwarf64 -gno-as-loc-support
build dwarf3-32bit -gdwarf-3 -m32
