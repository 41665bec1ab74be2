/* SPDX-License-Identifier: MIT */
/* startinfo.c - start_info, hypercall page, shared_info, first registers (see startinfo.h). */
#include "toolstack/builder/startinfo.h"
#include "lib/string.h"

void startinfo_fill(void *page, const struct layout *l, const struct startinfo *s)
{
    struct start_info *si = page;

    strlcpy(si->magic, "xen-3.0-x86_64", sizeof(si->magic));
    si->nr_pages = l->nr_pages;
    si->shared_info = mfn_to_paddr(s->shared_info);
    si->flags = SIF_VIRT_P2M_4TOOLS;
    si->store_mfn = s->store.v;
    si->store_evtchn = s->store_port;
    si->console.domU.mfn = s->console.v;
    si->console.domU.evtchn = s->console_port;
    si->pt_base = layout_va(l, l->tables.pfn);
    si->nr_pt_frames = l->tables.n;
    si->mfn_list = l->p2m_va;
    if (l->p2m_outside) {
        si->first_p2m_pfn = l->p2m.pfn;
        si->nr_p2m_frames = l->p2m.n + l->p2m_tables.n;
    }
    if (s->initrd_bytes) {
        si->mod_start = l->initrd_mapped ? layout_va(l, l->initrd.pfn) : l->initrd.pfn;
        si->mod_len = s->initrd_bytes;
        si->flags |= l->initrd_mapped ? 0 : SIF_MOD_START_PFN;
    }
    strlcpy((char *)si->cmd_line, s->cmdline, sizeof(si->cmd_line));
}

void hypercall_page_fill(uint8_t page[4096])
{
    /* push rcx, push r11, mov n,eax, syscall, pop r11, pop rcx, ret */
    static const uint8_t call[] = { 0x51, 0x41, 0x53, 0xb8, 0, 0, 0, 0, 0x0f, 0x05,
                                    0x41, 0x5b, 0x59, 0xc3 };
    /* Is jumped to with the frame on the stack: push rcx, push r11, push rax, mov, syscall. */
    static const uint8_t iret[] = { 0x51, 0x41, 0x53, 0x50, 0xb8, __HYPERVISOR_iret, 0, 0, 0,
                                    0x0f, 0x05 };

    memset(page, 0xcc, 4096);
    for (unsigned int n = 0; n < 128; n++) {
        memcpy(page + 32 * n, call, sizeof(call));
        page[32 * n + 4] = (uint8_t)n;
    }
    memcpy(page + 32 * __HYPERVISOR_iret, iret, sizeof(iret));
}

void shared_info_fill(struct shared_info *s)
{
    for (unsigned int i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        s->vcpu_info[i].evtchn_upcall_mask = 1;
}

void vcpu_context_fill(struct vcpu_guest_context *c, const struct layout *l, uint64_t entry,
                       mfn_t l4)
{
    static const uint32_t mxcsr = 0x1f80;
    static const uint16_t fcw = 0x37f;

    c->flags = VGCF_in_kernel | VGCF_online;
    c->user_regs.rip = entry;
    c->user_regs.rsp = layout_va(l, l->stack.pfn + l->stack.n);
    c->user_regs.rsi = layout_va(l, l->start_info.pfn);
    c->user_regs.rflags = 0x200;
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->kernel_ss = c->user_regs.ss;
    c->kernel_sp = c->user_regs.rsp;
    c->ctrlreg[3] = mfn_to_paddr(l4);
    c->debugreg[6] = 0xffff0ff0;
    c->debugreg[7] = 0x400;
    memcpy(c->fpu_ctxt.x, &fcw, sizeof(fcw));
    memcpy(c->fpu_ctxt.x + 24, &mxcsr, sizeof(mxcsr));
}
