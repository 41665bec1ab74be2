/* SPDX-License-Identifier: MIT */
/*
 * test_virtio_net.c - receiving with a card that the test plays, whose view of the driver's stores may lag behind: neither
 * sleeps while there is something to do, whatever is lost on the way and however short memory is. And sending: what the card
 * is to interrupt for.
 */
/* LINK: netback/drv/virtio_net.c netback/frame.c netback/rxpool.c netback/headers.c netback/csum.c runtime/virtio.c runtime/loop.c */
/* LINK: lib/strlcpy.c tests/unit/fakes/virtiopci.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "netback/frame.h"
#include "netback/nic.h"
#include "netback/exchange.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "tests/unit/fakes/virtiopci.h"

#define SIZE     256u
#define HDR      12u
#define F(n)     (1u << (n))
#define FEATURES (F(0) | F(1) | F(5) | F(7) | F(15) | F(29))    /* bit 0: of the upper half, VERSION_1 */
#define HELD_MAX 700u

/* ------------------------------------------------------------------ around the driver */

static struct pci_dev pci = { .vendor = 0x1af4, .device = 0x1041, .msix_cap = 1 };
static event_fn irq;
static void *irq_arg;
static bool irq_pending, may_sleep;
static uint64_t now = 1, armed;
static void *zeroed[8];                             /* in the order in which the driver asks for them */
static unsigned int nr_zeroed, pages, pages_max;
static struct frame *held[HELD_MAX];                /* frames that somebody has not done with */
static unsigned int nr_held, received, sleeps, sleeps_short;

static void before_sleep(void);

uint64_t now_ns(void)
{
    return now;
}

void log_at(enum log_level level, const char *fmt, ...)
{
}

void panic(const char *fmt, ...)
{
    abort();
}

static event_fn timer_fn;

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    timer_fn = fn;
    return 0;
}

void event_send(evtchn_port_t port)
{
}

bool event_any_pending(void)
{
    return irq_pending;
}

bool event_poll(void)
{
    bool was = irq_pending;

    irq_pending = false;
    if (armed && armed <= now) {
        armed = 0;
        timer_fn(NULL);
    }
    if (was)
        irq(irq_arg);
    return was;
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    if (nr == __HYPERVISOR_set_timer_op)
        armed = a1;
    if (nr == __HYPERVISOR_sched_op && a1 == SCHEDOP_block) {
        before_sleep();
        now = armed > now ? armed : now + 1000;
    }
    return 0;
}

void *page_alloc(void)
{
    if (pages >= pages_max)
        return NULL;
    pages++;
    return aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

void *page_alloc_zeroed(void)
{
    void *p = page_alloc();

    if (p)
        memset(p, 0, PAGE_SIZE);
    if (nr_zeroed < ARRAY_SIZE(zeroed))
        zeroed[nr_zeroed++] = p;
    return p;
}

void page_free(void *p)
{
    pages--;
    free(p);
}

paddr_t virt_to_maddr(const void *p)
{
    return (paddr_t)p;
}

mfn_t virt_to_mfn(const void *p)
{
    return mfn((uint64_t)p >> PAGE_SHIFT);
}

void pci_enable(struct pci_dev *d)
{
}

void pci_disable_dma(struct pci_dev *d)
{
}

void pci_irq_free(struct pci_dev *d, struct pci_irq *irqs, unsigned int n)
{
}

int pci_irq_alloc(struct pci_dev *d, struct pci_irq *irqs, unsigned int want, const event_fn *fn,
                  void *const *arg)
{
    irq = fn[0];
    irq_arg = arg[0];
    for (unsigned int i = 0; i < want; i++)
        irqs[i] = (struct pci_irq){ .kind = PCI_IRQ_MSIX, .entry = (uint16_t)i };
    return (int)want;
}

/* Without the flip: no frame has a page of a window. */
bool exchange_offered(void)
{
    return false;
}

uint64_t cmdline_get_u64(const char *key, uint64_t otherwise)
{
    return otherwise;
}

grant_ref_t grant_range(uint32_t n, struct grant_entry_v1 **entry)
{
    return GRANT_NONE;
}

void *pages_alloc(unsigned int order)
{
    return NULL;
}

void pages_free(void *p, unsigned int order)
{
}

pfn_t virt_to_pfn(const void *p)
{
    return pfn(0);
}

uint64_t p2m[1], *p2m_list = p2m;

static struct nic_watch *watch;
static void (*watch_looks)(struct nic_watch *w), (*watch_resets)(struct nic_watch *w);
static bool is_wrong;
static unsigned int room_calls;

void nic_watch_init(struct nic_watch *w, struct port *port, void (*look)(struct nic_watch *w),
                    void (*hung)(struct nic_watch *w))
{
    watch = w;
    watch_looks = look;
    watch_resets = hung;
}

void nic_watch_wrong(struct nic_watch *w)
{
    is_wrong = true;
}

void nic_watch_start(struct nic_watch *w)
{
}

void nic_lost(struct port *port, struct nic_watch *w)
{
}

static struct port *nic;
static struct work flush_work;

static void flush(struct work *w)
{
    nic->flush(nic);
}

void port_touch(struct port *p)
{
    nic = p;
    work_queue_last(&flush_work);
}

void port_room(struct port *p)
{
    room_calls++;
}

void port_receive(struct port *p, struct frame **frames, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        received++;
        if (nr_held == HELD_MAX || rand() % 4 == 0)
            continue;
        frame_get(frames[i]);
        held[nr_held++] = frames[i];
    }
}

static void let_go(unsigned int n)
{
    while (nr_held && n--)
        frame_put(held[--nr_held]);
}

/* ------------------------------------------------------------------ the card */

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

/*
 * Packets wait for buffers. view: what the card sees of the driver's ring of buffers; stores may arrive late, and
 * the driver's next look at the card's ring does not wait for them.
 */
static struct {
    uint16_t view[SIZE + 3], seen, signalled;
    bool waits;                 /* for the doorbell */
    unsigned int packets, size, delivered;
} card;

static uint16_t *avail(void)
{
    return zeroed[1];
}

static uint16_t *used(void)
{
    return (uint16_t *)((char *)zeroed[1] + ROUND_UP(6 + 2 * SIZE, 16u));
}

static void stores_arrive(void)
{
    memcpy(card.view, avail(), sizeof(card.view));
}

static void fill(unsigned int buffers)
{
    struct desc *t = zeroed[2];

    for (unsigned int i = 0; i < buffers; i++) {
        uint16_t head = card.view[2 + card.seen++ % SIZE], idx = used()[1];
        uint32_t *e = (uint32_t *)(void *)(used() + 2) + idx % SIZE * 2;

        assert_int_equal(t[head].flags, 2);
        memset((void *)t[head].addr, 0, HDR);
        if (!i)
            ((uint16_t *)t[head].addr)[5] = (uint16_t)buffers;
        e[0] = head;
        e[1] = i + 1 < buffers ? t[head].len : 60;
        used()[1] = (uint16_t)(idx + 1);
    }
    card.delivered++;
}

/* Puts packets into buffers while there are enough of them, then says so if it was asked to. */
static void card_works(void)
{
    uint16_t idx;

    card.waits = false;
    while (card.packets) {
        if ((uint16_t)(card.view[1] - card.seen) < card.size) {
            used()[2 + 4 * SIZE] = card.view[1];        /* avail_event: tell me of more */
            card.waits = true;
            break;
        }
        fill(card.size);
        card.packets--;
        card.size = rand() % 8 ? 1 : 1 + (unsigned int)rand() % 16;
    }
    idx = used()[1];
    if ((uint16_t)(idx - card.view[2 + SIZE] - 1) < (uint16_t)(idx - card.signalled))
        irq_pending = true;
    card.signalled = idx;
}

static bool rung(void)
{
    uint16_t *bell = (uint16_t *)fake_virtio[2], was = *bell;

    *bell = 0xffff;
    return was != 0xffff;
}

/* A doorbell arrives behind the stores before it. */
static void answer_bell(void)
{
    if (!rung())
        return;
    stores_arrive();
    card_works();
}

static void packets_come(unsigned int n)
{
    card.packets += n;
    if (!card.waits)
        card_works();
}

/* The loop has nothing left to do: then there is nothing, or it asked to be woken for want of memory. */
static void before_sleep(void)
{
    bool bell = rung();

    assert_true(may_sleep);
    sleeps++;
    if (bell || irq_pending) {
        *(uint16_t *)fake_virtio[2] = bell ? 0 : 0xffff;
        return;
    }
    assert_int_equal(received, card.delivered);
    if (!card.packets)
        return;
    assert_true(card.waits);
    assert_true((uint16_t)(avail()[1] - card.seen) < 192);
    assert_true(armed > now);
    sleeps_short++;
}

/* ------------------------------------------------------------------ sending */

static uint16_t *tx_used(void)
{
    return (uint16_t *)((char *)zeroed[3] + ROUND_UP(6 + 2 * SIZE, 16u));
}

/* Does the card have to interrupt when it has sent all of what it has, or the next of it? */
static bool tx_interrupts(void)
{
    const uint16_t *ring = zeroed[3];
    uint16_t used_event = ring[2 + SIZE], old = tx_used()[1], new = ring[1];

    return (uint16_t)(new - used_event - 1) < (uint16_t)(new - old);
}

/* The card has sent all that it was told of. */
static void tx_done(void)
{
    const uint16_t *ring = zeroed[3];

    for (uint16_t at = tx_used()[1]; at != ring[1]; at++) {
        uint32_t *e = (uint32_t *)(void *)(tx_used() + 2) + at % SIZE * 2;

        e[0] = ring[2 + at % SIZE];
        tx_used()[1] = (uint16_t)(at + 1);
    }
}

static unsigned int awaited_done;

static void awaited_free(struct frame *f)
{
    awaited_done++;
}

/* Gives the card a frame: a copy of dom0's, or one that somebody waits for. */
static void send(struct port *p, struct frame *awaited)
{
    struct frame *f = awaited ? awaited : frame_new(p);

    f->head_len = f->len = 60;
    if (awaited)
        f->refs = 1;
    assert_true(p->send(p, f));
    frame_put(f);
}

static unsigned int frames_used(void)
{
    unsigned int made, used;

    frame_counts(&made, &used);
    return used;
}

/* ------------------------------------------------------------------ tests */

static void start(struct port **made)
{
    struct port *port;
    uint32_t v = FEATURES;

    work_init(&flush_work, flush);
    pages_max = 1000;
    memset(fake_virtio[1], 0, 64);
    memcpy(fake_virtio[1] + 4, &v, sizeof(v));
    *(uint16_t *)(fake_virtio[1] + 18) = 2;               /* queues */
    *(uint16_t *)(fake_virtio[1] + 24) = SIZE;
    *(uint16_t *)fake_virtio[2] = 0xffff;
    card.size = 1;
    assert_int_equal(virtio_net_probe(&pci, "nic0", &port), 0);
    assert_int_equal(nr_zeroed >= 5, 1);
    stores_arrive();
    (void)rung();
    *made = port;
}

static void nobody_sleeps_with_work_left(void **state)
{
    unsigned int lost = 0;
    struct port *port;

    start(&port);
    srand(5);
    for (unsigned int round = 0; round < 200000; round++) {
        if (round % 1000 == 0)
            pages_max = 150 + (unsigned int)rand() % 700;
        if (rand() % 3 == 0)
            packets_come(1 + (unsigned int)rand() % (rand() % 16 ? 4 : 150));
        may_sleep = false;
        loop_turn(false);
        answer_bell();
        /* The card works between the driver's last stores and their arrival. */
        if (rand() % 2)
            packets_come(1);
        stores_arrive();
        lost += !irq_pending && card.delivered != received;
        may_sleep = true;
        loop_turn(true);
        answer_bell();
        let_go((unsigned int)rand() % 8);
    }
    assert_true(lost > 100 && sleeps > 100 && sleeps_short > 100);
    pages_max = 2000;
    for (unsigned int i = 0; i < 10000 && (card.packets || received != card.delivered); i++) {
        let_go(HELD_MAX);
        loop_turn(true);
        answer_bell();
    }
    assert_int_equal(card.packets, 0);
    assert_int_equal(received, card.delivered);
}

static void packets_arrive(unsigned int n)
{
    unsigned int before = received;

    packets_come(n);
    loop_turn(false);
    stores_arrive();
    assert_int_equal(received, before + n);
    let_go(HELD_MAX);
}

/* A card that returns what it was not given, and as much as it can of that: nothing is believed any more until it was reset. */
static void a_lie_costs_a_reset(void **state)
{
    struct port *port;

    memset(&card, 0, sizeof(card));
    nr_zeroed = 0;
    start(&port);
    packets_arrive(5);
    assert_false(is_wrong);
    ((uint32_t *)(void *)(used() + 2))[used()[1] % SIZE * 2] = 77777;
    used()[1] = (uint16_t)(used()[1] + 60000);
    irq_pending = true;
    loop_turn(false);
    assert_true(is_wrong);
    may_sleep = true;
    irq_pending = false;
    card.delivered = received;
    loop_turn(true);                    /* it is not asked again and again */
    watch_resets(watch);
    card.seen = card.signalled = 0;
    stores_arrive();
    packets_arrive(5);

    is_wrong = false;
    send(port, NULL);
    port->flush(port);
    tx_used()[1]++;                     /* of what was not sent: the entry says descriptor 0, but twice */
    *(uint32_t *)(void *)(tx_used() + 2 + 4) = 0;
    tx_used()[1]++;
    watch_looks(watch);
    assert_true(is_wrong);
    watch_resets(watch);
}

/* A card is to interrupt for what it has sent if somebody waits for that, or for room. */
static void copies_need_no_interrupt(void **state)
{
    static uint8_t memory[64];
    struct frame awaited = { .head = memory, .done = awaited_free };
    unsigned int before;
    struct port *port;

    nr_zeroed = 0;
    start(&port);
    before = frames_used();
    for (unsigned int i = 0; i < 60; i++) {             /* two descriptors each */
        send(port, NULL);
        port->flush(port);
        assert_false(tx_interrupts());
    }
    assert_int_equal(frames_used(), before + 60);
    /* They are given back by whoever comes by: the next frame, or who looks whether the card hangs. */
    tx_done();
    send(port, NULL);
    port->flush(port);
    assert_int_equal(frames_used(), before + 1);
    tx_done();
    watch_looks(watch);
    assert_int_equal(frames_used(), before);

    send(port, NULL);
    send(port, &awaited);
    send(port, NULL);
    port->flush(port);
    assert_true(tx_interrupts());
    tx_done();
    watch_looks(watch);
    assert_int_equal(awaited_done, 1);

    /* Frames wait for room, or will soon. */
    for (unsigned int i = 0; i < 65; i++)
        send(port, NULL);
    port->flush(port);
    assert_true(tx_interrupts());
    tx_done();
    port->nr_waiting = 1;
    room_calls = 0;
    may_sleep = true;
    port->flush(port);
    loop_turn(false);
    assert_int_equal(room_calls, 1);
    send(port, NULL);
    port->flush(port);
    assert_true(tx_interrupts());
    tx_done();
    watch_looks(watch);
    assert_int_equal(frames_used(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sleeps_with_work_left),
        cmocka_unit_test(copies_need_no_interrupt),
        cmocka_unit_test(a_lie_costs_a_reset),
    };

    loop_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
