# SPDX-License-Identifier: MIT
# dom0: one paravirtual image with runtime, drivers, backends and toolstack.

DOM0_C := $(sort $(wildcard runtime/*.c netback/*.c netback/drv/*.c blkback/*.c blkback/drv/*.c \
            toolstack/store/*.c toolstack/builder/*.c toolstack/vm/*.c toolstack/net/*.c \
            toolstack/http/*.c dom0/*.c lib/*.c))
DOM0_S := $(sort $(wildcard runtime/*.S toolstack/http/*.S dom0/*.S))
DOM0_OBJ := $(DOM0_C:%.c=$(B)/d0/%.o) $(DOM0_S:%.S=$(B)/d0/%.S.o)
# What third-party sources dom0 links; mk/deps.mk builds it.
DOM0_DEPS_A := $(B)/libdeps.a
DOM0_CFLAGS := $(FREE) $(WARN) -fno-pic -mcmodel=kernel -Iruntime/libc -D__SLUICE_GUEST__ $(LWIP_INC) \
               $(DECOMP_INC) $(MBEDTLS_INC)

.PHONY: dom0
dom0: $(B)/dom0   ## build dom0

$(B)/d0/%.o: %.c | $(B)/include/xen $(DEPS_READY)
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(DOM0_CFLAGS) -MMD -MP -c $< -o $@

$(B)/d0/%.S.o: %.S | $(B)/include/xen
	$(call say,AS)
	$(Q)mkdir -p $(@D) && $(CC) $(DOM0_CFLAGS) -D__ASSEMBLY__ -Wa,-I$(B)/gen -MMD -MP -c $< -o $@

# Files that are part of the image lie in $(B)/gen, packed.
$(B)/gen/openapi.json: toolstack/http/openapi.json
	$(call say,PACK)
	$(Q)mkdir -p $(@D) && jq -cj . $< > $@

$(B)/d0/toolstack/http/openapi.S.o: $(B)/gen/openapi.json

# The web page: its own files, and the terminal, which comes from npm.
PAGE := $(notdir $(wildcard toolstack/http/page/*)) xterm.js xterm.css
$(B)/gen/page/%.gz: toolstack/http/page/%
	$(call say,PACK)
	$(Q)mkdir -p $(@D) && gzip -9nc $< > $@

$(B)/gen/page/xterm.js.gz $(B)/gen/page/xterm.css.gz: $(DEPS_READY)
	$(call say,PACK)
	$(Q)mkdir -p $(@D) && sed '/^\/\/# sourceMappingURL=/d' $(DEPS)/xterm/*/$(@F:.gz=) | gzip -9n > $@

$(B)/d0/toolstack/http/page.S.o: $(PAGE:%=$(B)/gen/page/%.gz)

$(B)/dom0.elf: $(DOM0_OBJ) $(DOM0_DEPS_A) runtime/link.lds
	$(call say,LD)
	$(Q)ld -nostdlib -static -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
	    --gc-sections --build-id=none -T runtime/link.lds -Map=$(B)/dom0.map -o $@ \
	    $(DOM0_OBJ) --start-group $(DOM0_DEPS_A) --end-group

$(B)/dom0: $(B)/dom0.elf
	$(call say,STRIP)
	$(Q)strip --strip-all -o $@ $<
