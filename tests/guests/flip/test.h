/* SPDX-License-Identifier: MIT */
/* test.h - what all roles of the flip tests share. */
#ifndef TESTS_FLIP_TEST_H
#define TESTS_FLIP_TEST_H

#include "runtime/grant.h"
#include "runtime/log.h"
#include "runtime/start.h"
#include "tests/guests/flip/peer.h"
#include "tests/guests/flip/slots.h"

extern const char *my_role;
extern uint32_t my_id;

#define CHECK(cond) \
    do { \
        if (!(cond)) \
            check_failed(__FILE__, __LINE__, #cond); \
    } while (0)

void check_failed(const char *file, int line, const char *what) __noreturn;

/* A node of ours that everybody may read; and waiting for one of another domain. */
void publish(const char *node, const char *value);
uint32_t await(const char *node, char *value, size_t size);

/* The roles. */
void end_run(void) __noreturn;
void back_run(void);
void bench_run(void);
void storm_end_run(void) __noreturn;
void storm_back_run(void) __noreturn;

/* For backends: the two ends, what they are told, and exchanges. */
struct end {
    uint32_t id;
    struct grant_mapping map;
    struct peer_page *page;
    evtchn_port_t port;
};
extern struct end end_a, end_b;

#define OFFER   (GTF_permit_access | SLUICE_GTF_flip)

void back_connect(void);
int64_t ask(struct end *e, uint32_t cmd, uint32_t p, uint32_t q, uint32_t r);
/* Slot from_slot of domain `from` with to_slot of `to`. */
struct sluice_flip_op op_between(uint32_t from, uint32_t from_slot, uint32_t to, uint32_t to_slot);

#endif
