# How every boot program is built. A program's Makefile sets PROGRAM, OBJECTS and IMAGES (the names of its images, with
# DEFINES_<image> where one needs some, OBJECTS_<image> where one consists of more than the common objects, and
# LDS_<image> where one is not linked by <program>.lds), and includes this file. OUT is where the images go.

# make's own default is cc; the images are compared byte by byte with what gcc makes.
ifeq ($(origin CC),default)
CC := gcc
endif
OUT ?= .

vpath %.c ../common
vpath %.S ../common

HEADERS := $(wildcard *.h *.lds ../common/*.h ../common/*.S ../common/*.lds) Makefile ../common/program.mk

CFLAGS := -std=gnu11 -Wall -Wextra -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone \
	  -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	  -fno-omit-frame-pointer -fno-tree-loop-distribute-patterns -Og -gdwarf-5 -gno-record-gcc-switches
# The names that the debug information gives the sources do not depend on where they were built.
CFLAGS += -ffile-prefix-map=$(abspath ..)=/pagewalk/guests -fdebug-prefix-map=$(abspath ..)=/pagewalk/guests
LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	   -Wl,--no-warn-rwx-segments

ELFS := $(IMAGES:%=$(OUT)/%.elf)

all: $(ELFS)

# Objects have names of their own, since the linker puts them into the symbol table.
define IMAGE
$(OUT)/build/$(1)/%.o: %.S $(HEADERS)
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) $$(DEFINES_$(1)) -c $$(abspath $$<) -o $$@

$(OUT)/build/$(1)/%.o: %.c $(HEADERS)
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) $$(DEFINES_$(1)) -c $$(abspath $$<) -o $$@

$(OUT)/$(1).elf: $(patsubst %,$(OUT)/build/$(1)/%,$(OBJECTS) $(OBJECTS_$(1)))
	cd $(OUT)/build/$(1) && $(CC) $(LDFLAGS) -T $(abspath $(or $(LDS_$(1)),$(PROGRAM).lds)) \
		$(OBJECTS) $(OBJECTS_$(1)) -o $$(abspath $$@)
endef
$(foreach image,$(IMAGES),$(eval $(call IMAGE,$(image))))

clean:
	rm -rf $(OUT)/build $(ELFS)

.PHONY: all clean
