# SPDX-License-Identifier: MIT
# The netfront for stock Linux kernels, built for the kernel that the tests boot. The kernel's build system writes
# beside the sources, so it gets a copy.

LINUX_MODULE := $(B)/linux/netfront/linux/sluice-netfront.ko
LINUX_SRC    := $(wildcard netfront/linux/*.[ch] netfront/linux/shim/*.h netfront/linux/Kbuild include/sluice/*.h)

.PHONY: linux-module
linux-module: $(LINUX_MODULE)   ## build sluice-netfront.ko for Debian's kernel: its network pages are flipped

$(LINUX_MODULE): $(LINUX_SRC) mk/linux-module.sh | $(KERNELS)/amd64/vmlinuz
	$(call say,KMOD)
	$(Q)mk/linux-module.sh $(KERNELS)/amd64 $(B)/linux
