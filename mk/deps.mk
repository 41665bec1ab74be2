# SPDX-License-Identifier: MIT
# What a bare Debian 12 lacks: packages, and third-party sources in build/deps.

.PHONY: deps
deps:   ## install the packages and fetch the sources that building and testing need
	$(Q)mk/deps.sh

# Only Xen's public headers, not the whole of /usr/include, are visible to freestanding code.
$(B)/include/xen:
	$(Q)mkdir -p $(@D) && ln -sfn /usr/include/xen $@
