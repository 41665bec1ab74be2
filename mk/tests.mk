# SPDX-License-Identifier: MIT
# Unit tests and fuzz targets: one program per file. Its sources stand in the file
# itself, in lines of the form "LINK: lib/a.c lib/b.c" (any comment style).

UNIT_C   := $(sort $(wildcard tests/unit/test_*.c))
UNIT     := $(UNIT_C:tests/unit/%.c=$(B)/unit/%)
FUZZ_C   := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ     := $(FUZZ_C:tests/fuzz/%.c=$(B)/fuzz/%)
FUZZ_SECONDS ?= 5
HOST_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -Wno-unused-parameter -I. -Iinclude -Ihypervisor \
               -isystem $(B)/include -fno-omit-frame-pointer -DSLUICE_DEBUG=1 -DSLUICE_HOST=1 \
               $(DECOMP_INC) $(MBEDTLS_INC) $(LWIP_HOST_INC)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
links = $(shell sed -n "s|^.*LINK:||p" $(1) | sed "s|\*/||")

# One compiler run makes a whole test, so the headers that it uses are listed by a run of their own.
list_headers = $(1) $(HOST_CFLAGS) -MM -MP -MT $@ $(filter %.c,$(2)) > $@.d
# Not $^: that list of headers, once there is one, also names .c files which a test includes.
sources = $(filter %.c %.a,$(1) $(call links,$(1)))

.PHONY: unit fuzz
unit: $(UNIT:=.ok)   ## run the host unit tests (cmocka, ASan, UBSan)

.SECONDEXPANSION:
$(UNIT): $(B)/unit/%: tests/unit/%.c $$(call links,tests/unit/$$*.c) | $(B)/include/xen
	$(call say,HOSTCC)
	$(Q)mkdir -p $(@D) && $(call list_headers,$(CC),$(call sources,tests/unit/$*.c)) && \
	    $(CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(call sources,tests/unit/$*.c) -lcmocka

$(UNIT:=.ok): %.ok: %
	$(call say,TEST)
	$(Q)$< > $<.log 2>&1 || { cat $<.log; exit 1; }; touch $@

fuzz: $(FUZZ:=.ok)   ## run each fuzz target for FUZZ_SECONDS on its kept corpus

$(FUZZ): $(B)/fuzz/%: tests/fuzz/%.c $$(call links,tests/fuzz/$$*.c) | $(B)/include/xen
	$(call say,FUZZCC)
	$(Q)mkdir -p $(@D) && $(call list_headers,$(CLANG),$(call sources,tests/fuzz/$*.c)) && \
	    $(CLANG) $(HOST_CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $(call sources,tests/fuzz/$*.c)

$(FUZZ:=.ok): $(B)/fuzz/%.ok: $(B)/fuzz/%
	$(call say,FUZZ)
	$(Q)mkdir -p $(B)/fuzz/corpus/$* tests/fuzz/corpus/$(*:fuzz_%=%) && $< -max_total_time=$(FUZZ_SECONDS) \
	    -timeout=10 -rss_limit_mb=2048 -artifact_prefix=$(B)/fuzz/$*- $(B)/fuzz/corpus/$* \
	    tests/fuzz/corpus/$(*:fuzz_%=%) > $<.log 2>&1 || { tail -40 $<.log; exit 1; }; touch $@

# Programs that the system tests run on the workstation.
$(B)/tools/%: tests/system/%.c
	$(call say,HOSTCC)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -o $@ $< -lpcap

check:   ## headers by themselves, who includes whom, licences: a few seconds
	$(Q)mk/check.sh

attack: all guests   ## run the guests of tests/attack, each of which breaks one rule
	$(Q)tests/run system attack

powercut: all guests   ## cut the power 50 times amid writes and flushes, compare what is left: make powercut [ROUNDS=50]
	$(Q)ROUNDS=$(or $(ROUNDS),50) tests/run system powercut

.PHONY: test system check attack powercut
# In two steps, so that what the first installs is there when the second looks for it.
test:   ## install what is missing, then run every test; ends with "N passed, N failed"
	$(Q)mk/deps.sh
	$(Q)tests/run

system: all guests $$(INITRAMFS) $(B)/tools/pcapcheck   ## run the system tests in QEMU: make system [T="boot guest ..."]
	$(Q)tests/run system $(T)
