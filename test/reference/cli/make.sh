#!/bin/sh
# Builds demand.elf.
cd "$(dirname "$0")" || exit 1
gcc -g -nostdlib -static -no-pie -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096 \
	-Wl,-T,src/demand.ld -ffile-prefix-map="$PWD"=. src/demand.S -o demand.elf
