# SPDX-License-Identifier: MIT
# The hypervisor: an ELF64 file for debuggers, and the same as ELF32, which is
# what multiboot loaders (qemu -kernel, iPXE, GRUB) take.

HV_C   := $(sort $(filter-out hypervisor/cpu/asm-offsets.c,$(wildcard hypervisor/*.c hypervisor/*/*.c)))
HV_S   := $(filter-out hypervisor/link.lds.S,$(sort $(wildcard hypervisor/*.S hypervisor/*/*.S)))
HV_LIB := $(sort $(wildcard lib/*.c))
HV_OBJ := $(HV_C:%.c=$(B)/hv/%.o) $(HV_S:%.S=$(B)/hv/%.S.o) $(HV_LIB:%.c=$(B)/hv/%.o)
# Linked high, in the part of the address space that PV guests leave to us; hence
# position-independent code, which reaches everything relative to rip.
HV_CFLAGS := $(FREE) $(WARN) -fpie -Ihypervisor -include hypervisor/hidden.h -D__SLUICE_HYPERVISOR__

.PHONY: hypervisor
hypervisor: $(B)/sluice   ## build the hypervisor

$(B)/hv/%.o: %.c | $(B)/include/xen
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

# Struct offsets for assembly: the compiler prints them into assembly text as ->NAME $VALUE.
$(B)/hv/asm-offsets.h: hypervisor/cpu/asm-offsets.c | $(B)/include/xen
	$(call say,OFFSETS)
	$(Q)mkdir -p $(@D) && $(CC) $(HV_CFLAGS) -MMD -MP -MF $(@:.h=.d) -MT $@ -S -o $(@:.h=.s) $<
	$(Q)sed -n 's/^.*"->\([A-Za-z0-9_]*\) \$$*\(-*[0-9]*\)".*/#define \1 \2/p' $(@:.h=.s) > $@

$(B)/hv/%.S.o: %.S $(B)/hv/asm-offsets.h | $(B)/include/xen
	$(call say,AS)
	$(Q)mkdir -p $(@D) && $(CC) $(HV_CFLAGS) -I$(B)/hv -D__ASSEMBLY__ -MMD -MP -c $< -o $@

$(B)/hv/link.lds: hypervisor/link.lds.S hypervisor/layout.h
	$(Q)mkdir -p $(@D) && $(CC) $(HV_CFLAGS) -D__ASSEMBLY__ -E -P -x c $< -o $@

$(B)/sluice.elf: $(HV_OBJ) $(B)/hv/link.lds
	$(call say,LD)
	$(Q)ld -nostdlib -static -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
	    --gc-sections --build-id=none -T $(B)/hv/link.lds -Map=$(B)/sluice.map -o $@ $(HV_OBJ)

$(B)/sluice: $(B)/sluice.elf
	$(call say,OBJCOPY)
	$(Q)objcopy -O elf32-i386 --strip-all $< $@
