/* SPDX-License-Identifier: MIT */
/*
 * liar.h - a frontend and its backend in two mini guests, with nothing of dom0 between them but the store: each writes its
 * half of it in a directory of its own that all may read (data/front, data/back), and finds the other's by looking.
 */
#ifndef TESTS_LIAR_H
#define TESTS_LIAR_H

#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/grant.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xs.h"

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("liar: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

/* Bytes of a frame's head, and of its payload, which is in one page: its number, then words made from it. */
#define LIAR_HEAD    66
#define LIAR_PAYLOAD 1400

/* Word i of what is on the disk from that sector on. */
static inline uint64_t word_on_disk(uint64_t sector, unsigned int i)
{
    return (sector + i / 64) * 0x9e3779b97f4a7c15UL + i % 64;
}

/* A frontend's part of the store (front.c) ------------------------------------------------------ */

/* From now on what is written to or read from `directory`, where a guest may not write, is in data/front. */
void front_begin(const char *directory);
/* Waits for a backend, and writes its directory and number. */
void front_find_backend(void);
bool front_has_backend(void);
extern uint32_t back_dom;

uint64_t frames_owned(void);

/* A backend's (back.c) --------------------------------------------------------------------------- */

extern uint32_t front_dom;
extern char front[48];              /* the frontend's directory */

void back_begin(void);
void back_find_front(void);
void set_state(const char *s);
void any_state(void);
uint32_t front_state(void);
bool wait_front(uint32_t state, uint64_t ms);   /* false: not in so many milliseconds */
void bind_event(const char *key, const char *other);
void signal_front(void);
uint32_t rnd(uint32_t n);

/* What can be done to a page that may be granted: copied to or from, mapped, and let go of some time later. */
void lie_copy(grant_ref_t ref);
void lie_keep(grant_ref_t ref);
void back_let_go(void);             /* of that, and of the event channel */
extern uint64_t lie_copied, lie_mapped;

/* The roles --------------------------------------------------------------------------------------- */

void netfront_run(void) __noreturn;
void netback_run(bool honest) __noreturn;
void blkfront_run(void) __noreturn;
void blkback_run(bool honest) __noreturn;

/* The lowest domain that has `node` in its directory, besides us; 0: none. */
uint32_t find_domain(const char *node);
/* A directory of ours for all to read. */
void make_directory(const char *path);

#endif
