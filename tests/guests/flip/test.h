/* SPDX-License-Identifier: MIT */
/* test.h - what all roles of the flip tests share. */
#ifndef TESTS_FLIP_TEST_H
#define TESTS_FLIP_TEST_H

#include "runtime/log.h"
#include "runtime/start.h"
#include "tests/guests/flip/peer.h"

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

/* What an end does on command, besides the plain ones; end.c calls it for CMD_TRICK. */
int64_t end_trick(uint32_t trick, uint32_t slot);

#endif
