/* SPDX-License-Identifier: MIT */
/*
 * version.c - xen_version: what we offer and what it was built from.
 *
 * Guests also call sub-op 0 for its side effect alone: events are looked at on the way out.
 */
#include "hypercall/hypercall.h"

#include "layout.h"
#include "lib/string.h"
#include "mm/uaccess.h"

/* The version whose ABI this is. */
#define ABI_VERSION (4u << 16 | 17)

#define FEATURES_GUEST ((1u << XENFEAT_mmu_pt_update_preserve_ad) | \
                        (1u << XENFEAT_highmem_assist) | \
                        (1u << XENFEAT_gnttab_map_avail_bits) | \
                        (1u << XENFEAT_memory_op_vnode_supported) | \
                        (1u << XENFEAT_direct_mapped))

static long put_text(guest_ptr_t arg, const char *text, size_t size)
{
    char buf[64] = { 0 };

    strlcpy(buf, text, sizeof(buf));
    return copy_to_guest(arg, buf, MIN(size, sizeof(buf))) ? -XEN_EFAULT : 0;
}

static long compile_info(guest_ptr_t arg)
{
    struct xen_compile_info info = { .compiler = "gcc " __VERSION__, .compile_by = "",
                                     .compile_domain = "", .compile_date = "" };

    return copy_to_guest(arg, &info, sizeof(info)) ? -XEN_EFAULT : 0;
}

static long capabilities(guest_ptr_t arg)
{
    static const xen_capabilities_info_t caps = "xen-3.0-x86_64 ";

    return copy_to_guest(arg, caps, sizeof(caps)) ? -XEN_EFAULT : 0;
}

static long features(guest_ptr_t arg)
{
    struct xen_feature_info fi;

    if (copy_from_guest(&fi, arg, sizeof(fi)))
        return -XEN_EFAULT;
    if (fi.submap_idx >= XENFEAT_NR_SUBMAPS)
        return -XEN_EINVAL;
    fi.submap = FEATURES_GUEST;
    if (current->domain->vm_assist & 1UL << VMASST_TYPE_pae_extended_cr3)
        fi.submap |= 1u << XENFEAT_pae_pgdir_above_4gb;
    if (current->domain->privileged)
        fi.submap |= 1u << XENFEAT_dom0;
    return copy_to_guest(arg, &fi, sizeof(fi)) ? -XEN_EFAULT : 0;
}

long do_xen_version(uint64_t cmd, guest_ptr_t arg)
{
    switch ((uint32_t)cmd) {
    case XENVER_version:
        return ABI_VERSION;
    case XENVER_extraversion:
        return put_text(arg, "-sluice", sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(arg);
    case XENVER_capabilities:
        return capabilities(arg);
    case XENVER_changeset:
        return put_text(arg, "unavailable", sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters: {
        struct xen_platform_parameters p = { .virt_start = HV_VIRT_START };

        return copy_to_guest(arg, &p, sizeof(p)) ? -XEN_EFAULT : 0;
    }
    case XENVER_get_features:
        return features(arg);
    case XENVER_pagesize:
        return arg.v ? -XEN_EINVAL : (long)PAGE_SIZE;
    case XENVER_guest_handle:
        return copy_to_guest(arg, current->domain->handle, sizeof(current->domain->handle)) ?
               -XEN_EFAULT : 0;
    case XENVER_commandline:
        return clear_guest(arg, sizeof(xen_commandline_t)) ? -XEN_EFAULT
                                                           : put_text(arg, "<denied>", 16);
    case XENVER_build_id:
        return -XEN_EPERM;
    default:
        return -XEN_ENOSYS;
    }
}
