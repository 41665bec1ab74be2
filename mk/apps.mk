# SPDX-License-Identifier: MIT
# Real servers on a domain's disk: tests/apps. The root file system takes two minutes to make.

APPS := $(B)/apps

.PHONY: test-apps
$(APPS)/root.img: tests/apps/mkroot.sh
	$(Q)mkdir -p $(@D) && tests/apps/mkroot.sh $@

$(APPS)/initrd.gz: $(addprefix tests/apps/,mkinitrd.sh init work.sh apps.service) | $(KERNELS)/amd64/vmlinuz
	$(call say,CPIO)
	$(Q)mkdir -p $(@D) && tests/apps/mkinitrd.sh $(KERNELS)/amd64 $@

test-apps: release $(APPS)/root.img $(APPS)/initrd.gz   ## PostgreSQL, MariaDB, Apache and gcc as a domain, against the bare machine
	$(Q)tests/apps/run $(LOADS)
