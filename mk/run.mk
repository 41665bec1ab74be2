# SPDX-License-Identifier: MIT
# Starting hosts: make run, make netboot, make iso.

KERNELS := $(B)/kernels
GUEST_PROGS_C := $(sort $(wildcard tests/guest/test-*.c))
GUEST_PROGS   := $(GUEST_PROGS_C:tests/guest/%.c=$(B)/guest/%)
INITRAMFS := $(B)/initramfs.gz


.PHONY: run netboot iso deps-packages
deps-packages:
	$(Q)mk/deps.sh packages

# Built in two steps, so that what the first installs is there when the second looks for it.
run:   ## build, boot a host in QEMU by iPXE, start a Debian guest, print its page's URL
	$(Q)mk/deps.sh
	$(Q)$(MAKE) --no-print-directory all $(INITRAMFS)
	$(Q)pxe/run.sh

netboot: all   ## lay out what a boot server serves: make netboot DIR=...
	$(Q)test -n "$(DIR)" || { echo "netboot: say where: make netboot DIR=/srv/tftp"; exit 1; }
	$(Q)pxe/mkroot.sh "$(DIR)" $(FILES)

iso: $(B)/sluice.iso   ## a GRUB image for BIOS and UEFI with hypervisor and dom0

$(KERNELS)/%/vmlinuz:
	$(Q)mk/kernel.sh $*

$(B)/guest/%: tests/guest/%.c
	$(call say,GUESTCC)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter -Werror -static -pthread -o $@ $<

$(INITRAMFS): mk/initramfs.sh tests/guest/init tests/guest/udhcpc.sh $(GUEST_PROGS) | $(KERNELS)/amd64/vmlinuz
	$(call say,CPIO)
	$(Q)mk/initramfs.sh $(KERNELS)/amd64 $@ $(GUEST_PROGS)

$(B)/sluice.iso: $(B)/sluice $(B)/dom0 pxe/mkiso.sh
	$(call say,ISO)
	$(Q)pxe/mkiso.sh $@
