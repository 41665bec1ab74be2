# SPDX-License-Identifier: MIT
# sluice, the operator's command: a normal program of the workstation. Not part of `make all`, so
# that building a host needs none of its libraries.

PREFIX      ?= /usr/local
DESTDIR     ?=
CLI_C       := $(sort $(wildcard toolstack/cli/*.c)) \
               $(addprefix lib/,vmconfig.c vmvif.c vmdisk.c vmcpus.c cpulist.c words.c xlcfg.c xlkeys.c why.c strlcpy.c utf8.c)
CLI_LIBS    := -lcurl -ljansson -lcrypto
CLI_CFLAGS  := -std=gnu11 -D_GNU_SOURCE -DSLUICE_HOST=1 -I. -Iinclude \
               -isystem $(B)/include $(filter-out -Wundef,$(WARN)) -g
CLI_HARDEN  := -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -pie -Wl,-z,relro,-z,now

.PHONY: cli install
cli: $(B)/cli/sluice   ## build the operator's command (build/cli/sluice)

$(B)/cli/obj/%.o: %.c | $(B)/include/xen
	$(call say,HOSTCC)
	$(Q)mkdir -p $(@D) && $(CC) $(CLI_CFLAGS) $(CLI_HARDEN) -MMD -MP -c $< -o $@

$(B)/cli/sluice: $(CLI_C:%.c=$(B)/cli/obj/%.o)
	$(call say,LINK)
	$(Q)$(CC) $(CLI_HARDEN) -o $@ $^ $(CLI_LIBS)

# The same for tests: leaks and wrong accesses end it.
$(B)/cli/asan/%.o: %.c | $(B)/include/xen
	$(call say,HOSTCC)
	$(Q)mkdir -p $(@D) && $(CC) $(CLI_CFLAGS) -O1 $(SANITIZE) -fno-omit-frame-pointer -MMD -MP -c $< -o $@

$(B)/cli/sluice-asan: $(CLI_C:%.c=$(B)/cli/asan/%.o)
	$(call say,LINK)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(CLI_LIBS)

install: cli   ## install the operator's command: make install PREFIX=/usr/local DESTDIR=
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(Q)install -m 755 $(B)/cli/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	$(Q)install -m 644 toolstack/cli/sluice.1 $(DESTDIR)$(PREFIX)/share/man/man1/sluice.1
	$(Q)install -m 644 toolstack/cli/sluice.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/sluice.conf.5
	$(Q)install -m 644 toolstack/cli/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sluice
