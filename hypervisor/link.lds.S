/* SPDX-License-Identifier: MIT */
/*
 * link.lds.S - the image: a low part (multiboot headers, 32-bit entry) that runs where it is
 * loaded, then everything else, linked at HV_IMAGE_BASE + load address. Loaders go by physical
 * addresses, so e_entry is low and every section has AT(). Each permission starts a new page;
 * mm/map.c maps accordingly.
 */
#include "layout.h"

OUTPUT_FORMAT(elf64-x86-64)
ENTRY(boot_entry)

PHDRS {
    low  PT_LOAD FLAGS(7);
    text PT_LOAD FLAGS(5);
    ro   PT_LOAD FLAGS(4);
    data PT_LOAD FLAGS(6);
}

SECTIONS {
    . = HV_LOAD_PADDR;
    .boot : AT(ADDR(.boot)) {
        KEEP(*(.boot.header))
        KEEP(*(.boot.text))
        KEEP(*(.boot.data))
    } :low

    . = ALIGN(4096) + HV_IMAGE_BASE;
    hv_text_start = .;
    .text : AT(ADDR(.text) - HV_IMAGE_BASE) {
        *(.text.entry .text.entry.*)
        *(.text .text.*)
        . = ALIGN(64);
        *(.stubs)           /* code made at run time, through map_writable_alias() */
        . = ALIGN(4096);
    } :text
    hv_text_end = .;

    hv_ro_start = .;
    .rodata : AT(ADDR(.rodata) - HV_IMAGE_BASE) {
        *(.rodata .rodata.*)
        *(.got .got.plt)
        *(.data.rel.ro .data.rel.ro.*)
    } :ro
    ex_table : AT(ADDR(ex_table) - HV_IMAGE_BASE) {
        PROVIDE(__start_ex_table = .);
        KEEP(*(ex_table))
        PROVIDE(__stop_ex_table = .);
        . = ALIGN(4096);
    } :ro
    hv_ro_end = .;

    hv_data_start = .;
    .data : AT(ADDR(.data) - HV_IMAGE_BASE) {
        *(.data.page_aligned)
        *(.data .data.*)
        . = ALIGN(8);
    } :data
    .bss : AT(ADDR(.bss) - HV_IMAGE_BASE) {
        *(.bss.stack)
        *(.bss.page_aligned)
        *(.bss .bss.* COMMON)
        . = ALIGN(4096);
    } :data
    hv_end = .;

    /DISCARD/ : { *(.comment .note .note.* .eh_frame .eh_frame_hdr) }
}
