/* SPDX-License-Identifier: MIT */
/* hypercall_page.h - the page of stubs that a kernel calls hypercalls through. Pure. */
#ifndef DOMAIN_HYPERCALL_PAGE_H
#define DOMAIN_HYPERCALL_PAGE_H

#include "compiler.h"

/* 128 stubs of 32 bytes; stub n calls hypercall n and changes only rax. Number 23 (iret) is
 * jumped to and does not return. */
void hypercall_page_fill(uint8_t page[4096]);

#endif
