# SPDX-License-Identifier: MIT
# Mini guests: each folder of tests/guests, tests/attack and guests is a small PV ELF,
# build/guests/NAME, on runtime/ and whatever other part of dom0 it calls.

GUEST_DIRS := $(sort $(dir $(wildcard tests/guests/*/*.c tests/attack/*/*.c guests/*/*.c)))
GUESTS     := $(foreach d,$(GUEST_DIRS),$(B)/guests/$(notdir $(d:%/=%)))
# All that dom0 is made of but its main: the linker takes what a guest uses.
GUEST_BASE := $(filter-out $(B)/d0/dom0/%,$(DOM0_OBJ)) \
              $(patsubst %.c,$(B)/d0/%.o,$(sort $(wildcard netfront/*.c blkfront/*.c)))

.PHONY: guests
guests: $(GUESTS)   ## build the mini guests

# $(1): the folder, $(2): the image, $(3): more for the linker
define GUEST_RULE
$(2): $(patsubst %.c,$(B)/d0/%.o,$(sort $(wildcard $(1)*.c))) \
      $(patsubst %.S,$(B)/d0/%.S.o,$(sort $(wildcard $(1)*.S))) $(GUEST_BASE) $(DOM0_DEPS_A) runtime/link.lds
	$$(call say,GUEST)
	$$(Q)mkdir -p $$(@D) && ld -nostdlib -static -z max-page-size=4096 -z noexecstack \
	    --no-warn-rwx-segments --gc-sections --build-id=none $(3) -T runtime/link.lds \
	    -o $$@.elf $$(filter %.o,$$^) --start-group $(DOM0_DEPS_A) --end-group && strip --strip-all -o $$@ $$@.elf
endef
$(foreach d,$(GUEST_DIRS),$(eval $(call GUEST_RULE,$(d),$(B)/guests/$(notdir $(d:%/=%)))))
# The same guest at two addresses of its own, for tests/bench/profile.
$(eval $(call GUEST_RULE,tests/guests/frames/,$(B)/guests/frames-sink,--defsym IMAGE_OFFSET=0xd00000))
$(eval $(call GUEST_RULE,tests/guests/frames/,$(B)/guests/frames-src,--defsym IMAGE_OFFSET=0xf00000))
