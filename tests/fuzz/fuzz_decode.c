/* SPDX-License-Identifier: MIT */
/* fuzz_decode.c - instruction decoder and its arithmetic on a guest's bytes. */
/* LINK: hypervisor/emul/decode.c */
#include <stdlib.h>
#include <string.h>
#include "emul/decode.h"
#include "xenabi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpu_user_regs regs;
    struct insn i, j;
    enum insn_result rc;
    uint64_t mem = 0x8000000000000001;
    bool code64;

    if (!size)
        return 0;
    code64 = *data++ & 1;
    size--;
    rc = insn_decode(&i, data, size, code64);
    if (rc != INSN_OK) {
        if (i.op != INSN_UNKNOWN || (rc == INSN_TRUNCATED && size >= INSN_MAX))
            abort();
        return 0;
    }
    if (i.op == INSN_UNKNOWN || !i.len || i.len > INSN_MAX || i.len > size || i.size > 16 ||
        (i.base > 15 && i.base != INSN_NO_REG) || (i.index > 15 && i.index != INSN_NO_REG))
        abort();
    /* Exactly its own bytes decide: the same without what follows, nothing with one less. */
    if (insn_decode(&j, data, i.len, code64) != INSN_OK || memcmp(&i, &j, sizeof(i)) ||
        insn_decode(&j, data, i.len - 1u, code64) != INSN_TRUNCATED)
        abort();
    memset(&regs, 0x5a, sizeof(regs));
    (void)insn_address(&i, &regs, 1, 2);
    if (insn_execute(&i, &regs, &mem) && regs.rip == 0x5a5a5a5a5a5a5a5a && !i.rep)
        abort();
    return 0;
}
