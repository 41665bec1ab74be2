/* SPDX-License-Identifier: MIT */
/*
 * flip - domains that flip frames between each other: two ends, "a" and "b", and a backend, "back",
 * which says what is done and checks it. They find each other through the store.
 */
#include "tests/guests/flip/test.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/loop.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"

const char *my_role;
uint32_t my_id;

void check_failed(const char *file, int line, const char *what)
{
    log_error("flip %s: FAILED at %s:%d: %s", my_role, file, line, what);
    domain_shutdown(SHUTDOWN_crash);
}

void publish(const char *node, const char *value)
{
    struct xs_perm p = { .dom = (domid_t)my_id, .access = XS_PERM_READ };

    CHECK(xs_write(0, node, value, strlen(value)) == 0);
    CHECK(xs_set_perms(0, node, &p, 1) == 0);
}

uint32_t await(const char *node, char *value, size_t size)
{
    char path[96];

    for (;;) {
        for (uint32_t d = 1; d < 64; d++) {
            (void)snprintf(path, sizeof(path), "/local/domain/%u/%s", d, node);
            if (d != my_id && xs_read(0, path, value, size) > 0)
                return d;
        }
        loop_turn(false);
    }
}

void pv_main(void)
{
    static char role[16];
    char word[8];

    if (!cmdline_get("role", role, sizeof(role)))
        (void)strlcpy(role, "back", sizeof(role));
    my_role = role;
    CHECK(xenbus_init() == 0);
    CHECK(xs_read(0, "domid", word, sizeof(word)) > 0);
    for (const char *s = word; *s; s++)
        my_id = my_id * 10 + (uint32_t)(*s - '0');
    if (!strcmp(my_role, "back"))
        back_run();
    else if (!strcmp(my_role, "bench"))
        bench_run();
    else if (!strcmp(my_role, "storm"))
        storm_end_run();
    else if (!strcmp(my_role, "stormback"))
        storm_back_run();
    else
        end_run();
    log_info("flip %s: ok", my_role);
    loop_run();
}
