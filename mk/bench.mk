# SPDX-License-Identifier: MIT
# Benchmarks: a release build of its own, guests' programs, tests/bench/run. docs/benchmarks.md.

RELEASE := $(B)/release
BENCH   := $(B)/bench

.PHONY: bench release
release:   ## build hypervisor and dom0 without assertions, as they are shipped (build/release)
	$(Q)$(MAKE) --no-print-directory B=$(RELEASE) DEPS=$(DEPS) DEBUG=0 all $(addprefix $(RELEASE)/guests/,frames frames-sink frames-src tcpbulk blkverify)

bench: release guests $(BENCH)/initrd.gz $(BENCH)/pv $(BENCH)/vmlinux $(BENCH)/initrd-flip.gz   ## measure: make bench [PARTS="boot cpu native min net hostdisk"]
	$(Q)tests/bench/run $(PARTS)

$(BENCH)/bench $(BENCH)/back: $(BENCH)/%: tests/bench/%.c
	$(call say,GUESTCC)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -O2 -static -o $@ $<

$(BENCH)/pv: tests/bench/pv.S
	$(call say,GUEST)
	$(Q)mkdir -p $(@D) && $(CC) -nostdlib -static -no-pie -Wl,--build-id=none,-z,noexecstack \
	    -Wl,-Ttext=0xffffffff80000000,-z,max-page-size=4096,-n -o $@ $<

$(BENCH)/initrd.gz: $(BENCH)/bench $(BENCH)/back $(addprefix tests/bench/,mkinitrd init parts.sh) | $(KERNELS)/amd64/vmlinuz
	$(call say,CPIO)
	$(Q)tests/bench/mkinitrd $(KERNELS)/amd64 $@ $(BENCH)/bench $(BENCH)/back

# The ELF file in a bzImage: its header says where the compressed payload starts and how long it is.
$(BENCH)/vmlinux: | $(KERNELS)/amd64/vmlinuz
	$(call say,UNXZ)
	$(Q)mkdir -p $(@D) && tests/bench/unpack-kernel $(KERNELS)/amd64/vmlinuz $@

# A second archive behind the first adds the Linux module.
$(BENCH)/initrd-flip.gz: $(BENCH)/initrd.gz $(LINUX_MODULE)
	$(call say,CPIO)
	$(Q)mk/add-module.sh $< $(LINUX_MODULE) $@
