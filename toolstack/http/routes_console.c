/* SPDX-License-Identifier: MIT */
/* routes_console.c - endpoints about consoles of domains. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "toolstack/vm/console.h"
#include "lib/printf.h"

static struct console *find_console(struct api_call *k)
{
    struct console *c = console_find(k->name);
    char line[VM_NAME_MAX + 32];

    if (!c) {
        snprintf(line, sizeof(line), "no console of a domain %s", k->name);
        http_reply_error(k->conn, 404, line);
    }
    return c;
}

static void console_get(struct api_call *k)
{
    struct console *con = find_console(k);
    uint64_t pos;
    size_t n;
    char *buf;

    if (!con || !api_query(k, "from", 0, &pos))
        return;
    buf = malloc(CONSOLE_KEEP);
    if (!buf) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    n = console_read(con, &pos, buf, CONSOLE_KEEP);
    http_reply(k->conn, 200, TEXT_PLAIN, buf, n);
    free(buf);
}

static void console_put(struct api_call *k)
{
    struct console *con = find_console(k);
    char answer[48];
    size_t n;

    if (!con)
        return;
    n = console_input(con, k->body, (size_t)k->rq->content_length);
    http_reply(k->conn, 200, NULL, answer,
               (size_t)snprintf(answer, sizeof(answer), "{\"accepted\":%zu}\n", n));
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/domains/{name}/console", ROLE_READER, 0, console_get },
    { HTTP_POST, "/v1/domains/{name}/console", ROLE_ADMIN, HTTP_BODY_MAX, console_put },
};

API_TABLE(routes_console, rows);
