/* SPDX-License-Identifier: MIT */
/* xlkeys.c - the keys of xl.cfg(5) that are not applied (see xlkeys.h). */
#include "lib/xlkeys.h"
#include "lib/string.h"

/* Reasons that many keys share. */
#define HVM_ONLY    "it is read for HVM and PVH guests only; delete it"
#define NO_DM       "there is no device model; delete it"
#define NO_SCREEN   "there is no framebuffer: use the console (sluice console); delete it"
#define NO_XSM      "there is no security module; delete it"
#define ARM_ONLY    "it is read on ARM only; delete it"
#define NO_PCI      "devices are not passed through: network and disks come by vif and disk"
#define NO_FRONT    "there is no backend for it; reach the service over the network"

#define NO(name, advice)   { name, XLKEY_NO_EFFECT, advice }
#define BAD(name, advice)  { name, XLKEY_REFUSED, advice }

const struct xlkey xlkeys[] = {
    /* Processors, memory, events. */
    NO("pool", "there is one pool with every CPU; delete it"),
    NO("on_soft_reset", "there is no soft reset; see on_reboot"),
    NO("claim_mode", "memory is taken before a domain starts; delete it"),
    NO("max_event_channels", "there are enough for every guest; delete it"),
    NO("max_grant_frames", "there are enough for every guest; delete it"),
    NO("max_maptrack_frames", "there are enough for every guest; delete it"),
    NO("max_grant_version", "grant tables have version 1; delete it"),
    NO("nomigrate", "domains do not migrate by themselves; delete it"),
    NO("xend_suspend_evtchn_compat", "delete it"),
    NO("driver_domain", "delete it"),
    NO("seclabel", NO_XSM),
    NO("init_seclabel", NO_XSM),
    BAD("vnuma", "there is no virtual NUMA; delete it, the guest sees one node"),
    BAD("cpuid", "what a guest sees of the CPU cannot be chosen; delete it"),
    BAD("e820_host", "guests see memory from 0 without holes; delete it"),
    BAD("vpmu", "guests have no performance counters; delete it"),
    BAD("vmtrace_buf_kb", "processor traces are not offered; delete it"),
    BAD("mca_caps", "machine checks are not passed to guests; delete it"),
    BAD("msr_relaxed", "model-specific registers are never opened to guests; delete it"),
    BAD("passthrough", NO_PCI),
    BAD("device_tree", ARM_ONLY),
    BAD("tee", ARM_ONLY),
    NO("gic_version", ARM_ONLY),
    NO("vuart", ARM_ONLY),

    /* Starting. */
    BAD("bootloader", "set kernel= and ramdisk=, or let the guest's disk choose with PV GRUB: "
                      "kernel = \"grub-x86_64-xen.bin\""),
    BAD("bootloader_args", "set kernel=, ramdisk= and cmdline= instead"),
    BAD("firmware", "for pvgrub64 set kernel = \"grub-x86_64-xen.bin\" (Debian: grub-xen-host)"),
    BAD("pvshim", "paravirtual guests run as they are; delete it and set type = \"pv\""),
    NO("pvshim_path", "delete it"),
    NO("pvshim_cmdline", "delete it"),
    NO("pvshim_extra", "delete it"),

    /* Devices. */
    BAD("pci", NO_PCI),
    NO("pci_permissive", NO_PCI),
    NO("pci_msitranslate", NO_PCI),
    NO("pci_seize", NO_PCI),
    NO("pci_power_mgmt", NO_PCI),
    NO("rdm", NO_PCI),
    NO("rdm_mem_boundary", NO_PCI),
    BAD("gfx_passthru", NO_PCI),
    BAD("dtdev", NO_PCI),
    BAD("ioports", NO_PCI),
    BAD("iomem", NO_PCI),
    BAD("irqs", NO_PCI),
    BAD("usbctrl", NO_FRONT),
    BAD("usbdev", NO_FRONT),
    BAD("vtpm", NO_FRONT),
    BAD("p9", NO_FRONT),
    BAD("pvcalls", NO_FRONT),
    BAD("channel", NO_FRONT),
    BAD("vdispl", NO_FRONT),
    BAD("vsnd", NO_FRONT),
    BAD("vkb", NO_FRONT),
    BAD("vscsi", NO_FRONT),
    BAD("virtio", NO_FRONT),

    /* Screens. */
    NO("vfb", NO_SCREEN),
    NO("vnc", NO_SCREEN),
    NO("vnclisten", NO_SCREEN),
    NO("vncdisplay", NO_SCREEN),
    NO("vncunused", NO_SCREEN),
    NO("vncpasswd", NO_SCREEN),
    NO("sdl", NO_SCREEN),
    NO("display", NO_SCREEN),
    NO("xauthority", NO_SCREEN),
    NO("opengl", NO_SCREEN),
    NO("nographic", NO_SCREEN),
    NO("keymap", NO_SCREEN),
    NO("spice", NO_SCREEN),
    NO("spicehost", NO_SCREEN),
    NO("spiceport", NO_SCREEN),
    NO("spicetls_port", NO_SCREEN),
    NO("spicedisable_ticketing", NO_SCREEN),
    NO("spicepasswd", NO_SCREEN),
    NO("spiceagent_mouse", NO_SCREEN),
    NO("spicevdagent", NO_SCREEN),
    NO("spice_clipboard_sharing", NO_SCREEN),
    NO("spiceusbredirection", NO_SCREEN),
    NO("spice_image_compression", NO_SCREEN),
    NO("spice_streaming_video", NO_SCREEN),

    /* HVM guests and their device model. */
    NO("boot", HVM_ONLY),
    NO("hdtype", HVM_ONLY),
    NO("hap", HVM_ONLY),
    NO("oos", HVM_ONLY),
    NO("shadow_memory", HVM_ONLY),
    NO("bios", HVM_ONLY),
    NO("bios_path_override", HVM_ONLY),
    NO("pae", HVM_ONLY),
    NO("acpi", HVM_ONLY),
    NO("acpi_s3", HVM_ONLY),
    NO("acpi_s4", HVM_ONLY),
    NO("acpi_laptop_slate", HVM_ONLY),
    NO("apic", HVM_ONLY),
    NO("nx", HVM_ONLY),
    NO("hpet", HVM_ONLY),
    NO("altp2m", HVM_ONLY),
    NO("altp2mhvm", HVM_ONLY),
    NO("nestedhvm", HVM_ONLY),
    NO("acpi_firmware", HVM_ONLY),
    NO("smbios_firmware", HVM_ONLY),
    NO("ms_vm_genid", HVM_ONLY),
    NO("tsc_mode", "the guest reads the CPU's own counter; delete it"),
    NO("localtime", "a guest's clock is UTC: set its time zone inside; delete it"),
    NO("rtc_timeoffset", "a guest's clock is UTC; delete it"),
    NO("vpt_align", HVM_ONLY),
    NO("timer_mode", HVM_ONLY),
    NO("mmio_hole", HVM_ONLY),
    NO("xen_platform_pci", HVM_ONLY),
    NO("viridian", HVM_ONLY),
    NO("videoram", HVM_ONLY),
    NO("stdvga", HVM_ONLY),
    NO("vga", HVM_ONLY),
    NO("serial", HVM_ONLY),
    NO("soundhw", HVM_ONLY),
    NO("vkb_device", HVM_ONLY),
    NO("usb", HVM_ONLY),
    NO("usbversion", HVM_ONLY),
    NO("usbdevice", HVM_ONLY),
    NO("vendor_device", HVM_ONLY),
    NO("dm_restrict", NO_DM),
    NO("device_model_user", NO_DM),
    NO("device_model_version", NO_DM),
    NO("device_model_override", NO_DM),
    NO("device_model_stubdomain_override", NO_DM),
    NO("device_model_stubdomain_seclabel", NO_DM),
    NO("device_model_args", NO_DM),
    NO("device_model_args_pv", NO_DM),
    NO("device_model_args_hvm", NO_DM),
    NO("stubdomain_kernel", NO_DM),
    NO("stubdomain_cmdline", NO_DM),
    NO("stubdomain_ramdisk", NO_DM),
    NO("stubdomain_memory", NO_DM),
};

const size_t nr_xlkeys = ARRAY_SIZE(xlkeys);

const struct xlkey *xlkey_find(const char *name)
{
    for (size_t i = 0; i < nr_xlkeys; i++)
        if (!strcmp(xlkeys[i].name, name))
            return &xlkeys[i];
    return NULL;
}
