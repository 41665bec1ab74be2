/* SPDX-License-Identifier: MIT */
/* hypercall_page.c - see hypercall_page.h; PV-ABI 3.2. */
#include "domain/hypercall_page.h"
#include "lib/string.h"
#include "xenabi.h"

#define STUBS       128u
#define STUB_BYTES  32u
#define INT3        0xcc

void hypercall_page_fill(uint8_t page[4096])
{
    /* push rcx; push r11; mov n, eax; syscall; pop r11; pop rcx; ret */
    static const uint8_t call[] = { 0x51, 0x41, 0x53, 0xb8, 0, 0, 0, 0, 0x0f, 0x05,
                                    0x41, 0x5b, 0x59, 0xc3 };
    /* push rcx; push r11; push rax; mov 23, eax; syscall */
    static const uint8_t iret[] = { 0x51, 0x41, 0x53, 0x50, 0xb8, __HYPERVISOR_iret, 0, 0, 0,
                                    0x0f, 0x05 };

    memset(page, INT3, STUBS * STUB_BYTES);
    for (uint32_t n = 0; n < STUBS; n++) {
        uint8_t *stub = page + n * STUB_BYTES;

        if (n == __HYPERVISOR_iret) {
            memcpy(stub, iret, sizeof(iret));
        } else {
            memcpy(stub, call, sizeof(call));
            stub[4] = (uint8_t)n;
        }
    }
}
