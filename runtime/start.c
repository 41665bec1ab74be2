/* SPDX-License-Identifier: MIT */
/*
 * start.c - start of day, as one list of steps; then the image's own pv_main().
 */
#include "runtime/start.h"
#include "lib/string.h"
#include "runtime/cmdline.h"
#include "runtime/console.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/modules.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/traps.h"

#define VIRT_BASE     0xffffffff80000000UL
#define LIMIT_DEFAULT (256UL << 20)     /* the initial domain may grow to this, besides modules */
#define RANGES_MAX    (2 * MODULES_MAX + 16)  /* two for each boot module, and our own few */

struct start_info *start_info;
struct shared_info *shared_info;

extern char _image_start[], _image_end[], stack_guard[], shared_info_page[];
void start(struct start_info *si) __noreturn;

/* Pseudo-physical pages that are in use before the allocator exists. */
static struct range {
    uint64_t first, end;
} used[RANGES_MAX];
static unsigned int nr_used;

static void use_pages(uint64_t first, uint64_t end)
{
    unsigned int i = nr_used;

    if (first >= end)
        return;
    BUG_ON(nr_used == RANGES_MAX);
    for (; i > 0 && used[i - 1].first > first; i--)
        used[i] = used[i - 1];
    used[i] = (struct range){ first, end };
    nr_used++;
}

static void use_virtual(uint64_t va, size_t bytes)
{
    if (va >= VIRT_BASE && bytes)
        use_pages((va - VIRT_BASE) >> PAGE_SHIFT,
                  (va - VIRT_BASE + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

static uint64_t start_reach;     /* pages that the direct map covers at first */

void start_use_bytes(uint64_t first, uint64_t end)
{
    if (end > start_reach << PAGE_SHIFT)
        panic("boot modules end at %lu MiB of dom0's memory, beyond the first %lu MiB", end >> 20,
              start_reach >> 8);
    use_pages(first >> PAGE_SHIFT, (end + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

bool start_is_initial_domain(void)
{
    return start_info->flags & SIF_INITDOMAIN;
}

static void map_shared_info(void)
{
    long rc = hc_update_va_mapping((uint64_t)shared_info_page,
                                   start_info->shared_info | PTE_PRESENT | PTE_WRITE | PTE_USER |
                                       PTE_ACCESSED | PTE_DIRTY,
                                   UVMF_INVLPG | UVMF_LOCAL);

    BUG_ON(rc);
    shared_info = (struct shared_info *)shared_info_page;
}

static void guard_stack(void)
{
    BUG_ON(hc_update_va_mapping((uint64_t)stack_guard, 0, UVMF_INVLPG | UVMF_LOCAL));
}

/* Pages that hold what the builder gave us. Everything else is free memory. */
static void find_used_pages(uint64_t first_free_low)
{
    const struct start_info *si = start_info;

    use_pages(0, first_free_low);
    use_virtual((uint64_t)_image_start, (size_t)(_image_end - _image_start));
    use_virtual((uint64_t)si, PAGE_SIZE);
    use_virtual(si->mfn_list, si->nr_pages * sizeof(uint64_t));
    use_virtual(si->pt_base, si->nr_pt_frames * PAGE_SIZE);
    if (!start_is_initial_domain()) {
        uint64_t store = mfn_to_pfn(mfn(si->store_mfn)).v;
        uint64_t console = mfn_to_pfn(mfn(si->console.domU.mfn)).v;

        if (store != ~0UL)
            use_pages(store, store + 1);
        if (console != ~0UL && console != store)
            use_pages(console, console + 1);
    }
    modules_find();
}

/* Calls fn for each run of pages in [0, end) that nobody uses and that has frames behind it. */
static void for_each_free(uint64_t end, void (*fn)(uint64_t first, uint64_t end))
{
    uint64_t at = 0;

    for (unsigned int i = 0; i <= nr_used; i++) {
        uint64_t stop = i < nr_used ? MIN(used[i].first, end) : end;

        while (at < stop) {
            uint64_t first = at;

            while (at < stop && mfn_is_valid_value(pfn_to_mfn(pfn(at))))
                at++;
            if (at > first)
                fn(first, at);
            while (at < stop && !mfn_is_valid_value(pfn_to_mfn(pfn(at))))
                at++;
        }
        if (i < nr_used)
            at = MAX(at, used[i].end);
    }
}

static uint64_t largest_first, largest_end, map_end;

static void note_largest(uint64_t first, uint64_t end)
{
    if (end - first > largest_end - largest_first) {
        largest_first = first;
        largest_end = end;
    }
}

static void drop_initial_mapping(uint64_t first, uint64_t end)
{
    if (first < map_end)
        initial_map_drop(first, MIN(end, map_end));
}

/* The allocator's own table comes out of the largest free run. */
static void start_allocator(uint64_t reach)
{
    uint64_t wanted = cmdline_get_u64("mem_max", start_is_initial_domain() ? LIMIT_DEFAULT : 0);
    size_t limit = MAX(p2m_pages(), (wanted >> PAGE_SHIFT) + modules_pages());
    uint64_t info_pages;

    info_pages = DIV_ROUND_UP(limit * MEM_INFO_SIZE, PAGE_SIZE);
    for_each_free(reach, note_largest);
    if (largest_end - largest_first < info_pages + 16)
        panic("only %lu pages of memory", p2m_pages());
    use_pages(largest_end - info_pages, largest_end);
    map_end = initial_map_end();
    for_each_free(reach, drop_initial_mapping);
    memset(pfn_to_virt(pfn(largest_end - info_pages)), 0, info_pages << PAGE_SHIFT);
    mem_begin(pfn_to_virt(pfn(largest_end - info_pages)), limit);
    for_each_free(reach, mem_add);
    if (reach < p2m_pages()) {
        BUG_ON(direct_map_extend(reach, p2m_pages()));
        use_pages(0, reach);
        for_each_free(p2m_pages(), mem_add);
    }
    BUG_ON(p2m_reserve(limit));
}

static void start_console(void)
{
    const struct start_info *si = start_info;
    char level[8];

    if (!start_is_initial_domain() && si->console.domU.evtchn)
        console_init(pfn_to_virt(mfn_to_pfn(mfn(si->console.domU.mfn))), si->console.domU.evtchn);
    if (cmdline_get("loglevel", level, sizeof(level)) && strcmp(level, "debug") == 0)
        log_set_level(LOG_DEBUG);
}

bool cmdline_get(const char *key, char *buf, size_t size)
{
    return cmdline_find((const char *)start_info->cmd_line, key, buf, size);
}

uint64_t cmdline_get_u64(const char *key, uint64_t otherwise)
{
    char text[32];
    uint64_t v;

    return cmdline_get(key, text, sizeof(text)) && parse_u64(text, &v) ? v : otherwise;
}

void domain_shutdown(unsigned int reason)
{
    struct sched_shutdown op = { .reason = reason };

    for (;;)
        (void)hc_sched_op(SCHEDOP_shutdown, &op);
}

void start(struct start_info *si)
{
    uint64_t reach, low;

    start_info = si;
    traps_init();
    map_shared_info();
    event_init();
    p2m_init((const uint64_t *)si->mfn_list, si->nr_pages);
    reach = pagetable_init(((uint64_t)_image_start - VIRT_BASE) >> PAGE_SHIFT, &low);
    start_reach = reach;
    find_used_pages(low);
    start_allocator(reach);
    guard_stack();
    image_protect();
    start_console();
    loop_init();
    pv_main();
    domain_shutdown(SHUTDOWN_poweroff);
}
