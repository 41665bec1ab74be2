# SPDX-License-Identifier: MIT
# Mini guests: each folder of tests/guests, tests/attack and guests is a small PV ELF,
# build/guests/NAME, on runtime/ and lib/ (and netfront/, blkfront/ where they are used).

GUEST_DIRS := $(sort $(dir $(wildcard tests/guests/*/*.c tests/attack/*/*.c guests/*/*.c)))
GUESTS     := $(foreach d,$(GUEST_DIRS),$(B)/guests/$(notdir $(d:%/=%)))
GUEST_BASE := $(patsubst %.c,$(B)/d0/%.o,$(sort $(wildcard runtime/*.c lib/*.c netfront/*.c \
                blkfront/*.c))) $(patsubst %.S,$(B)/d0/%.S.o,$(sort $(wildcard runtime/*.S)))

.PHONY: guests
guests: $(GUESTS)   ## build the mini guests

# $(1): the folder, $(2): the image
define GUEST_RULE
$(2): $(patsubst %.c,$(B)/d0/%.o,$(sort $(wildcard $(1)*.c))) \
      $(patsubst %.S,$(B)/d0/%.S.o,$(sort $(wildcard $(1)*.S))) $(GUEST_BASE) runtime/link.lds
	$$(call say,GUEST)
	$$(Q)mkdir -p $$(@D) && ld -nostdlib -static -z max-page-size=4096 -z noexecstack \
	    --no-warn-rwx-segments --gc-sections --build-id=none -T runtime/link.lds \
	    -o $$@.elf $$(filter %.o,$$^) && strip --strip-all -o $$@ $$@.elf
endef
$(foreach d,$(GUEST_DIRS),$(eval $(call GUEST_RULE,$(d),$(B)/guests/$(notdir $(d:%/=%)))))
