/* SPDX-License-Identifier: MIT */
/*
 * buddy.c - blocks of 2^order free frames in lists by order and zone. Pure: the frames' struct
 * page hold the lists; no lock.
 */
#include "mm/buddy.h"

static unsigned int zone_of(uint64_t frame)
{
    return frame >= FRAMES_BELOW_4G;
}

static bool is_head(const struct buddy *b, uint64_t frame, unsigned int order)
{
    const struct page *p = &b->page[frame];

    return frame < b->frames && p->count == PGC_FREE && p->nr_validated == order;
}

static void list_take(struct buddy *b, uint32_t frame, unsigned int order)
{
    struct page *p = &b->page[frame];

    if (p->prev == FRAME_NIL)
        b->head[zone_of(frame)][order] = p->next;
    else
        b->page[p->prev].next = p->next;
    if (p->next != FRAME_NIL)
        b->page[p->next].prev = p->prev;
    p->next = p->prev = FRAME_NIL;
    p->count = 0;
    p->nr_validated = 0;
}

static void list_put(struct buddy *b, uint32_t frame, unsigned int order)
{
    struct page *p = &b->page[frame];
    uint32_t *head = &b->head[zone_of(frame)][order];

    p->count = PGC_FREE;
    p->nr_validated = (uint16_t)order;
    p->prev = FRAME_NIL;
    p->next = *head;
    if (*head != FRAME_NIL)
        b->page[*head].prev = frame;
    *head = frame;
}

void buddy_init(struct buddy *b, struct page *pages, uint64_t frames)
{
    *b = (struct buddy){ .page = pages, .frames = frames };
    for (unsigned int z = 0; z < 2; z++) {
        for (unsigned int o = 0; o < BUDDY_ORDERS; o++)
            b->head[z][o] = FRAME_NIL;
    }
}

uint32_t buddy_alloc(struct buddy *b, unsigned int order, bool low)
{
    for (unsigned int z = low ? 0 : 1;; z = 0) {
        for (unsigned int o = order; o < BUDDY_ORDERS; o++) {
            uint32_t frame = b->head[z][o];

            if (frame == FRAME_NIL)
                continue;
            list_take(b, frame, o);
            while (o > order) {         /* give back the upper halves */
                o--;
                list_put(b, frame + (1u << o), o);
            }
            b->free[z] -= 1UL << order;
            return frame;
        }
        if (z == 0)
            return FRAME_NIL;
    }
}

void buddy_free(struct buddy *b, uint32_t frame, unsigned int order)
{
    b->free[zone_of(frame)] += 1UL << order;
    /* A block of the highest order is as large as zone 0, so blocks never straddle zones. */
    while (order < BUDDY_ORDERS - 1) {
        uint64_t other = frame ^ (1UL << order);

        if (!is_head(b, other, order))
            break;
        list_take(b, (uint32_t)other, order);
        frame &= ~(1u << order);
        order++;
    }
    list_put(b, frame, order);
}

void buddy_add(struct buddy *b, uint64_t first, uint64_t n)
{
    while (n) {
        unsigned int order = 0;

        while (order < BUDDY_ORDERS - 1 && !(first & (1UL << order)) && (2UL << order) <= n)
            order++;
        buddy_free(b, (uint32_t)first, order);
        first += 1UL << order;
        n -= 1UL << order;
    }
}

bool buddy_is_free(const struct buddy *b, uint32_t frame)
{
    for (unsigned int o = 0; o < BUDDY_ORDERS; o++) {
        uint32_t head = frame & ~((1u << o) - 1);

        if (b->page[head].count == PGC_FREE && b->page[head].nr_validated >= o)
            return true;
    }
    return false;
}
