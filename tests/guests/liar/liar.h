/* SPDX-License-Identifier: MIT */
/*
 * liar.h - a frontend and its backend in two mini guests, with nothing of dom0 between them but the store: each writes its
 * half of it in a directory of its own that all may read (data/front, data/back), and finds the other's by looking.
 */
#ifndef TESTS_LIAR_H
#define TESTS_LIAR_H

#include "lib/printf.h"
#include "lib/string.h"
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

/* The lowest domain that has `node` in its directory, besides us; 0: none. */
uint32_t find_domain(const char *node);
/* A directory of ours for all to read. */
void make_directory(const char *path);

void front_run(void) __noreturn;
void back_run(bool honest) __noreturn;

#endif
