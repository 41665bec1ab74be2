/* SPDX-License-Identifier: MIT */
/* xbroot.c - finding backends in the store. */
#include <stdlib.h>
#include "runtime/xbroot.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/xbdev.h"

#define NAMES_MAX 4096

unsigned int xb_path_numbers(const char *root, const char *path, uint32_t number[2])
{
    size_t len = strlen(root);
    const char *s = path + len;
    unsigned int n = 0;

    if (strncmp(path, root, len))
        return 0;
    while (*s == '/' && n < 2) {
        const char *digits = ++s;
        uint32_t v = 0;

        while (*s >= '0' && *s <= '9' && s - digits < 9)
            v = v * 10 + (uint32_t)(*s++ - '0');
        if (s == digits || (*s && *s != '/'))
            return n;
        number[n++] = v;
    }
    return *s == '/' && n == 2 ? 3 : n;
}

/* The names in dir, one after the other with their NULs; NULL: none, or an error that was logged. */
static char *list_names(const char *dir, int *len)
{
    char *names = malloc(NAMES_MAX);

    *len = names ? xs_directory(XS_NO_TXN, dir, names, NAMES_MAX) : 0;
    if (*len > NAMES_MAX) {
        log_warn("%s: too many entries", dir);
        *len = 0;
    }
    return names;
}

static void below_domain(const char *root, const char *dom,
                         void (*fn)(uint32_t dom, uint32_t number))
{
    char path[XB_PATH_MAX];
    uint32_t number[2];
    int len;
    char *names;

    snprintf(path, sizeof(path), "%s/%s", root, dom);
    names = list_names(path, &len);
    for (int at = 0; at < len; at += (int)strlen(names + at) + 1) {
        snprintf(path, sizeof(path), "%s/%s/%s", root, dom, names + at);
        if (xb_path_numbers(root, path, number) == 2)
            fn(number[0], number[1]);
    }
    free(names);
}

void xb_for_each_backend(const char *root, void (*fn)(uint32_t dom, uint32_t number))
{
    int len;
    char *names = list_names(root, &len);

    for (int at = 0; at < len; at += (int)strlen(names + at) + 1)
        below_domain(root, names + at, fn);
    free(names);
}
