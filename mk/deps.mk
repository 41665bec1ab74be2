# SPDX-License-Identifier: MIT
# What a bare Debian 12 lacks: packages, and third-party sources in build/deps.
# Each source's files, flags and include paths stand here; mk/dom0.mk compiles and links them.

DEPS := $(B)/deps

.PHONY: deps
deps:   ## install the packages and fetch the sources that building and testing need
	$(Q)mk/deps.sh

# Fetches what is missing; what compiles third-party code has this as order-only prerequisite.
DEPS_READY := $(DEPS)/.ready
$(DEPS_READY): mk/deps.sh
	$(Q)mk/deps.sh sources && touch $@

# Only Xen's public headers, not the whole of /usr/include, are visible to freestanding code.
$(B)/include/xen:
	$(Q)test -d /usr/include/xen || mk/deps.sh packages
	$(Q)mkdir -p $(@D) && ln -sfn /usr/include/xen $@

# Third-party code is compiled with our flags but its own idea of warnings, into one archive of
# which the linker takes what is used. To add a source: a line in mk/deps.sh, its files in DEPS_C,
# its flags in a DEPS_FLAGS line.
DEPS_CFLAGS := $(FREE) -w -fno-pic -mcmodel=kernel -Iruntime/libc

# lwIP: TCP/IP stack of dom0. Configured by toolstack/net/lwipopts.h and toolstack/net/arch/cc.h.
LWIP_DIR := $(DEPS)/lwip/src
LWIP_INC := -Itoolstack/net -isystem $(LWIP_DIR)/include
DEPS_C   += $(addprefix $(LWIP_DIR)/core/,def.c dns.c inet_chksum.c init.c ip.c mem.c memp.c \
              netif.c pbuf.c raw.c stats.c sys.c tcp.c tcp_in.c tcp_out.c timeouts.c udp.c) \
            $(addprefix $(LWIP_DIR)/core/ipv4/,dhcp.c etharp.c icmp.c ip4.c ip4_addr.c ip4_frag.c) \
            $(LWIP_DIR)/netif/ethernet.c
$(B)/dep/lwip/%.o: DEPS_FLAGS := $(LWIP_INC)

DEPS_OBJ := $(DEPS_C:$(DEPS)/%.c=$(B)/dep/%.o)

# The sources may not exist yet when this file is read, so the rule names only what fetches them.
$(DEPS_OBJ): $(B)/dep/%.o: $(DEPS_READY)
	$(call say,DEPCC)
	$(Q)mkdir -p $(@D) && $(CC) $(DEPS_CFLAGS) $(DEPS_FLAGS) -MMD -MP -c $(DEPS)/$*.c -o $@

$(B)/libdeps.a: $(DEPS_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^
