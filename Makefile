# SPDX-License-Identifier: MIT
#
# Sluice: one Makefile for everything; `make help` lists what it can do.
# Sources are found by folder, so a new .c file needs no change here. What is
# more than a rule of a few lines lives in mk/.

.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

B     := build
CC    := gcc
CLANG := clang
V     ?= 0
Q     := $(if $(filter 0,$(V)),@)
say    = @printf '  %-8s %s\n' '$(1)' '$(patsubst $(B)/%,%,$@)'

# DEBUG=1 keeps every ASSERT; DEBUG=0 is what a release ships and what is measured.
DEBUG ?= 1

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wundef -Wno-unused-parameter
FREE := -std=gnu11 -O2 -g -ffreestanding -nostdinc -isystem $(shell $(CC) -print-file-name=include 2>/dev/null) \
        -isystem $(B)/include -I. -Iinclude -mno-red-zone -mgeneral-regs-only \
        -fno-stack-protector -fcf-protection=none -fno-strict-aliasing -fno-common \
        -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
        -fno-delete-null-pointer-checks -DSLUICE_DEBUG=$(DEBUG)

include mk/deps.mk
include mk/hypervisor.mk
include mk/dom0.mk
include mk/guests.mk
include mk/tests.mk
include mk/cli.mk
include mk/run.mk
include mk/linux.mk
include mk/bench.mk
include mk/apps.mk

.PHONY: all help clean
all: hypervisor dom0   ## build the hypervisor and dom0 (build/sluice, build/dom0)

help:   ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
	    awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

clean:   ## remove what was built (build/deps, the fetched sources, stay)
	rm -rf $(filter-out $(B)/deps,$(wildcard $(B)/*))

-include $(shell find $(B) -name '*.d' -not -path '$(B)/deps/*' 2>/dev/null)
