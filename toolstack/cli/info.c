/* SPDX-License-Identifier: MIT */
/* info.c - verbs that tell of a host: info, dmesg, log, events, hosts, version. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

static int get_host(struct cli *c, json_t **out)
{
    return host_json(c, &(struct call){ .method = "GET", .path = "/v1/host", .offer = "host information",
                                        .what = "asking the host" }, JSON_OBJECT, out);
}

static void line(const char *key, const char *fmt, ...) __printf(2, 3);

static void line(const char *key, const char *fmt, ...)
{
    va_list ap;

    printf("%-23s: ", key);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void string_line(const char *key, const json_t *o, const char *member)
{
    const char *s = field_string(o, member);
    char *text = s ? clean(s) : NULL;

    if (text)
        line(key, "%s", text);
    free(text);
}

static void number_line(const char *key, const json_t *o, const char *member, uint64_t divide)
{
    if (json_is_integer(json_object_get(o, member)))
        line(key, "%" PRIu64, field_uint(o, member, 0) / divide);
}

int verb_info(struct cli *c, int argc, char **argv)
{
    json_t *o, *dom0;
    char up[64];
    int rc;

    if (argc != 1)
        return verb_usage(c, argv[0]);
    rc = get_host(c, &o);
    if (rc)
        return rc;
    if (c->json) {
        say_json(o);
        json_decref(o);
        return CLI_OK;
    }
    dom0 = json_object_get(o, "dom0");
    if (field_string(o, "name"))
        string_line("host", o, "name");
    else
        line("host", "%s", host_name(c));
    string_line("software", o, "software");
    string_line("version", o, "version");
    number_line("nr_cpus", o, "cpus", 1);
    number_line("cpu_mhz", o, "cpu_khz", 1000);
    number_line("total_memory", o, "memory_pages", 256);
    number_line("free_memory", o, "memory_free_pages", 256);
    number_line("domains", o, "domains", 1);
    units_uptime(up, sizeof(up), field_uint(o, "uptime_ns", 0) / 1000000000);
    line("uptime", "%s", up);
    number_line("dom0_memory", dom0, "pages", 256);
    number_line("dom0_free_memory", dom0, "pages_free", 256);
    number_line("dom0_heap_kib", dom0, "heap_bytes", 1024);
    number_line("dom0_busy_ms", dom0, "busy_ns", 1000000);
    json_decref(o);
    return CLI_OK;
}

/* ------------------------------------------------------------------ text: dmesg, log */

struct text_sink {
    struct cli *c;
};

static bool print_piece(void *arg, const char *data, size_t len)
{
    struct text_sink *s = arg;

    say_text(s->c, data, len);
    return fflush(stdout) == 0;
}

static int print_text(struct cli *c, const char *path, const char *offer, const char *member, bool follow)
{
    struct text_sink sink = { c };
    struct answer a;
    struct call k = { .method = "GET", .path = path, .offer = offer, .what = "asking the host",
                      .sink = follow ? print_piece : NULL, .arg = &sink };
    int rc = host_call(c, &k, &a);

    if (!rc && !follow && c->json) {
        json_t *o = json_object();

        clean_bytes(a.body, a.len, true);
        json_object_set_new(o, member, json_stringn(a.body, a.len));
        say_json(o);
        json_decref(o);
    } else if (!rc && !follow) {
        say_text(c, a.body, a.len);
    }
    answer_free(&a);
    return rc;
}

int verb_dmesg(struct cli *c, int argc, char **argv)
{
    int o;

    while ((o = getopt(argc, argv, "c")) >= 0) {
        if (o == 'c')
            return complain(c, CLI_NOT_OFFERED, "its oldest lines make room for new ones",
                            "the hypervisor's log cannot be cleared");
        return verb_usage(c, argv[0]);
    }
    if (argc != optind)
        return verb_usage(c, argv[0]);
    return print_text(c, "/v1/hypervisor-log", "the hypervisor's log", "log", false);
}

int verb_log(struct cli *c, int argc, char **argv)
{
    bool follow = false;
    int o;

    while ((o = getopt(argc, argv, "f")) >= 0) {
        if (o != 'f')
            return verb_usage(c, argv[0]);
        follow = true;
    }
    if (argc != optind)
        return verb_usage(c, argv[0]);
    return print_text(c, follow ? "/v1/log?from=0&follow=1" : "/v1/log?from=0", "its log", "log", follow);
}

/* ------------------------------------------------------------------ events */

#define EVENT_MAX 65536

struct events {
    struct cli *c;
    const char *domain;         /* NULL = of all */
    uint64_t left;              /* how many to print yet; UINT64_MAX = no end */
    char *line;
    size_t len;
    int rc;
};

static void print_event(struct events *e, json_t *o)
{
    static const char *const shown[] = { "seq", "time", "event", "domain", "id" };
    char when[32] = "-", *rest = NULL;
    time_t t = (time_t)field_number(o, "time", 0);
    const char *event = field_string(o, "event"), *domain = field_string(o, "domain");
    json_t *more = json_copy(o);
    struct tm tm;
    char *a, *b;

    if (t > 0 && localtime_r(&t, &tm))
        strftime(when, sizeof(when), "%F %T", &tm);
    for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
        json_object_del(more, shown[i]);
    if (json_object_size(more))
        rest = json_dumps(more, JSON_ENSURE_ASCII | JSON_COMPACT);
    a = clean(event ? event : "?");
    b = clean(domain ? domain : "-");
    printf("%s  %-16s  %s%s%s\n", when, a, b, rest ? "  " : "", rest ? rest : "");
    free(a);
    free(b);
    free(rest);
    json_decref(more);
}

static bool one_event(struct events *e)
{
    json_t *o = json_loadb(e->line, e->len, 0, NULL);
    const char *domain = field_string(o, "domain");
    bool go_on = true;

    if (!json_is_object(o)) {
        e->rc = complain(e->c, CLI_NONSENSE, NULL, "%s: an event that is no JSON object", host_name(e->c));
        go_on = false;
    } else if (!e->domain || (domain && !strcmp(domain, e->domain))) {
        if (e->c->json) {
            json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
            putchar('\n');
        } else {
            print_event(e, o);
        }
        go_on = fflush(stdout) == 0;
        if (e->left != UINT64_MAX && --e->left == 0)
            go_on = false;
    }
    json_decref(o);
    return go_on;
}

static bool on_events(void *arg, const char *data, size_t len)
{
    struct events *e = arg;

    for (; len; data++, len--) {
        if (*data == '\n') {
            bool go_on = !e->len || one_event(e);

            e->len = 0;
            if (!go_on)
                return false;
        } else if (e->len == EVENT_MAX) {
            e->rc = complain(e->c, CLI_NONSENSE, NULL, "%s: an event of more than %d bytes", host_name(e->c),
                             EVENT_MAX);
            return false;
        } else {
            e->line[e->len++] = *data;
        }
    }
    return true;
}

int verb_events(struct cli *c, int argc, char **argv)
{
    struct events e = { .c = c, .left = UINT64_MAX };
    const char *path = "/v1/events";
    struct answer a;
    int o, rc;

    while ((o = getopt(argc, argv, "an:")) >= 0) {
        if (o == 'a')
            path = "/v1/events?from=0";
        else if (o != 'n' || !units_number(optarg, 1, 1000000000, &e.left))
            return verb_usage(c, argv[0]);
    }
    if (argc - optind > 1)
        return verb_usage(c, argv[0]);
    e.domain = argv[optind];
    e.line = must(malloc(EVENT_MAX));
    rc = host_call(c, &(struct call){ .method = "GET", .path = path, .offer = "a stream of events",
                                      .sink = on_events, .arg = &e }, &a);
    answer_free(&a);
    free(e.line);
    if (!rc && !e.rc && e.left)
        rc = complain(c, CLI_UNREACHABLE, "is the host still up?", "%s: the host ended the stream", host_name(c));
    return e.rc ? e.rc : rc;
}

/* ------------------------------------------------------------------ hosts, version */

int verb_hosts(struct cli *c, int argc, char **argv)
{
    static const struct table_column cols[] = {
        { .title = "Name", .least = 8 },
        { .title = "URL", .least = 12 },
        { .title = "Credential", .drop = 1 },
        { .title = "From", .least = 8, .drop = 2 },
    };
    const struct conf *f = host_conf(c);
    json_t *all;
    struct table t;

    if (!f)
        return CLI_USAGE;
    if (argc != 1)
        return verb_usage(c, argv[0]);
    all = must(json_array());
    table_begin(&t, cols, ARRAY_SIZE(cols));
    for (unsigned int i = 0; i < f->hosts; i++) {
        const struct conf_host *h = &f->host[i];
        bool is_default = f->default_host && !strcmp(f->default_host, h->name);
        char *name = must_printf("%s%s", h->name, is_default ? " *" : "");

        table_row(&t, (const char *[]){ name, h->url, h->token_file ? "token" : h->cert ? "certificate" : NULL,
                                        h->file });
        json_array_append_new(all, json_pack("{s:s, s:s, s:b}", "name", h->name, "url", h->url, "default",
                                             is_default));
        free(name);
    }
    if (c->json) {
        say_json(all);
        table_end(&t);
    } else if (!f->hosts) {
        table_end(&t);
        note(c, "no sluice.conf names a host; see sluice.conf(5)");
    } else {
        say_table(c, &t);
    }
    json_decref(all);
    return CLI_OK;
}

int verb_version(struct cli *c, int argc, char **argv)
{
    const char *theirs;
    char *text;
    json_t *o;
    int rc;

    if (argc != 1)
        return verb_usage(c, argv[0]);
    if (!c->host && !getenv("SLUICE_HOST")) {
        const struct conf *f = host_conf(c);

        /* Without a host to ask, this command's alone. */
        if (!f)
            return CLI_USAGE;
        if (!f->default_host && f->hosts != 1) {
            if (c->json)
                printf("{\n  \"command\": \"%s\"\n}\n", SLUICE_VERSION);
            else
                printf("sluice %s\n", SLUICE_VERSION);
            return CLI_OK;
        }
    }
    if (!c->json)
        printf("sluice %s\n", SLUICE_VERSION);
    rc = get_host(c, &o);
    if (rc)
        return rc;
    theirs = field_string(o, "version");
    text = clean(theirs ? theirs : "does not say");
    if (c->json)
        printf("{\n  \"command\": \"%s\",\n  \"host\": \"%s\"\n}\n", SLUICE_VERSION, theirs ? text : "");
    else
        printf("%s: %s\n", host_name(c), text);
    free(text);
    json_decref(o);
    return CLI_OK;
}
