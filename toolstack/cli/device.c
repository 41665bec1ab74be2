/* SPDX-License-Identifier: MIT */
/* device.c - verbs for interfaces and disks: network-list, -attach, -detach, block-list, ... */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

/* Where the two kinds of device differ. */
struct kind {
    const char *rest, *member, *offer;
    const struct table_column *column;
    unsigned int columns;
    void (*row)(struct table *t, const json_t *v);
};

static const char *text_of(const json_t *v, const char *key, char *buf, size_t size)
{
    const json_t *m = json_object_get(v, key);

    if (json_is_string(m))
        return json_string_value(m);
    if (!json_is_integer(m))
        return NULL;
    snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(m));
    return buf;
}

static const char *bytes_of(const json_t *v, const char *key, uint64_t unit, char *buf, size_t size)
{
    const json_t *m = json_object_get(v, key);
    json_int_t i = json_integer_value(m);

    if (!json_is_integer(m) || i < 0 || (uint64_t)i > UINT64_MAX / unit)
        return NULL;
    units_bytes(buf, size, (uint64_t)i * unit);
    return buf;
}

/* Texts, or numbers, of a list as one text: ip may be either. */
static char *joined(const json_t *v)
{
    char *text = NULL;
    size_t n;
    FILE *f;

    if (json_is_string(v))
        return must(strdup(json_string_value(v)));
    f = must(open_memstream(&text, &n));
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *s = json_string_value(json_array_get(v, i));

        fprintf(f, "%s%s", i ? " " : "", s ? s : "?");
    }
    fclose(f);
    return text;
}

static const struct table_column net_columns[] = {
    { .title = "Idx", .right = true },
    { .title = "Mac" },
    { .title = "Bridge", .least = 6, .drop = 3 },
    { .title = "IP", .least = 7, .drop = 1 },
    { .title = "State" },
    { .title = "RX", .right = true },
    { .title = "Packets", .right = true, .drop = 4 },
    { .title = "Drops", .right = true, .drop = 2 },
    { .title = "TX", .right = true },
    { .title = "Packets", .right = true, .drop = 4 },
    { .title = "Drops", .right = true, .drop = 2 },
};

static void net_row(struct table *t, const json_t *v)
{
    char a[24], b[24], d[24], e[24], f[24], g[24], h[24], s[24];
    char *ip = joined(json_object_get(v, "ip"));

    table_row(t, (const char *[]){
        text_of(v, "devid", a, sizeof(a)), field_string(v, "mac"), field_string(v, "bridge"),
        *ip ? ip : NULL, text_of(v, "state", s, sizeof(s)), bytes_of(v, "rx_bytes", 1, b, sizeof(b)),
        text_of(v, "rx_packets", d, sizeof(d)), text_of(v, "rx_dropped", e, sizeof(e)),
        bytes_of(v, "tx_bytes", 1, f, sizeof(f)), text_of(v, "tx_packets", g, sizeof(g)),
        text_of(v, "tx_dropped", h, sizeof(h)) });
    free(ip);
}

static const struct table_column disk_columns[] = {
    { .title = "Vdev" },
    { .title = "Devid", .right = true, .drop = 4 },
    { .title = "Mode" },
    { .title = "State" },
    { .title = "Size", .right = true },
    { .title = "Rd", .right = true, .drop = 1 },
    { .title = "RdBytes", .right = true, .drop = 1 },
    { .title = "Wr", .right = true, .drop = 1 },
    { .title = "WrBytes", .right = true, .drop = 1 },
    { .title = "Errors", .right = true, .drop = 2 },
    { .title = "Target", .least = 10 },
};

static void disk_row(struct table *t, const json_t *v)
{
    char a[24], b[24], d[24], e[24], f[24], g[24], h[24], s[24];

    table_row(t, (const char *[]){
        field_string(v, "vdev"), text_of(v, "devid", a, sizeof(a)), field_string(v, "mode"),
        text_of(v, "state", s, sizeof(s)), bytes_of(v, "sectors", 512, b, sizeof(b)),
        text_of(v, "rd_ops", d, sizeof(d)), bytes_of(v, "rd_bytes", 1, e, sizeof(e)),
        text_of(v, "wr_ops", f, sizeof(f)), bytes_of(v, "wr_bytes", 1, g, sizeof(g)),
        text_of(v, "errors", h, sizeof(h)), field_string(v, "target") });
}

static const struct kind net = { "/networks", "vif", "network devices at run time", net_columns,
                                 ARRAY_SIZE(net_columns), net_row };
static const struct kind disk = { "/disks", "disk", "disks at run time", disk_columns,
                                  ARRAY_SIZE(disk_columns), disk_row };

static int device_list(struct cli *c, int argc, char **argv, const struct kind *k)
{
    struct table t;
    json_t *list;
    int rc;

    if (argc != 2)
        return verb_usage(c, argv[0]);
    rc = domain_call(c, argv[1], "GET", k->rest, k->offer, NULL, &list);
    if (rc)
        return rc;
    if (!json_is_array(list)) {
        rc = complain(c, CLI_NONSENSE, "is the host newer than this command? see sluice version",
                      "%s: the answer is no list of devices", host_name(c));
    } else if (c->json) {
        say_json(list);
    } else {
        table_begin(&t, k->column, k->columns);
        for (size_t i = 0; i < json_array_size(list); i++)
            k->row(&t, json_array_get(list, i));
        say_table(c, &t);
    }
    json_decref(list);
    return rc;
}

/* The parts of a specification stand in one argument, with commas, or in several. */
static int device_attach(struct cli *c, int argc, char **argv, const struct kind *k)
{
    char *spec = NULL;
    size_t n;
    FILE *f;
    json_t *body;
    int rc;

    if (argc < (k == &disk ? 3 : 2) || argv[1][0] == '-')
        return verb_usage(c, argv[0]);
    f = must(open_memstream(&spec, &n));
    for (int i = 2; i < argc; i++)
        fprintf(f, "%s%s", i > 2 ? "," : "", argv[i]);
    fclose(f);
    body = json_pack("{s:s}", k->member, spec);
    free(spec);
    if (!body)
        return complain(c, CLI_USAGE, NULL, "the specification is no UTF-8");
    rc = domain_call(c, argv[1], "POST", k->rest, k->offer, body, NULL);
    json_decref(body);
    return rc;
}

/* Is the device that was named so still in the list? */
static bool listed(const json_t *list, const char *name)
{
    static const char *const keys[] = { "devid", "mac", "vdev" };
    char buf[24];

    for (size_t i = 0; i < json_array_size(list); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
            const char *s = text_of(json_array_get(list, i), keys[k], buf, sizeof(buf));

            if (s && !strcasecmp(s, name))
                return true;
        }
    }
    return false;
}

#define DETACH_SECONDS 30u      /* for the guest to let go of it */

static int wait_until_gone(struct cli *c, const char *domain, const char *name, const struct kind *k)
{
    uint64_t until = clock_ms() + (c->timeout ? c->timeout : DETACH_SECONDS) * 1000ull;
    char *what = must_printf("%s: waiting until the guest lets go of %s", domain, name);
    char *path = host_path("/v1/domains/", domain, k->rest);
    struct progress p;
    bool there = true;
    int rc = CLI_OK;

    progress_begin(&p, c, what);
    while (there && !rc) {
        json_t *list;

        rc = host_json(c, &(struct call){ .method = "GET", .path = path, .offer = k->offer, .quiet_404 = true },
                       JSON_ARRAY, &list);
        there = !rc && listed(list, name);
        json_decref(list);
        if (there && clock_ms() > until)
            rc = complain(c, CLI_FAILED, "it goes when the guest closes it; -f takes it away at once",
                          "%s: domain %s does not let go of %s", host_name(c), domain, name);
        else if (there)
            nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
        progress_show(&p, 0, 0);
    }
    progress_end(&p);
    free(path);
    free(what);
    return rc == CLI_NOT_FOUND ? CLI_OK : rc;       /* the domain went, and the device with it */
}

static int device_detach(struct cli *c, int argc, char **argv, const struct kind *k)
{
    char *rest, *prefix;
    bool force = false;
    int rc, o;

    while ((o = getopt(argc, argv, "f")) >= 0) {
        if (o != 'f')
            return verb_usage(c, argv[0]);
        force = true;
    }
    if (argc - optind != 2)
        return verb_usage(c, argv[0]);
    if (strchr(argv[optind + 1], ':'))                 /* a MAC, as hosts write it */
        for (char *s = argv[optind + 1]; *s; s++)
            *s = (char)tolower((unsigned char)*s);
    prefix = must_printf("%s/", k->rest);
    rest = host_path(prefix, argv[optind + 1], force ? "?force=1" : "");
    rc = domain_call(c, argv[optind], "DELETE", rest, k->offer, NULL, NULL);
    if (!rc)
        rc = wait_until_gone(c, argv[optind], argv[optind + 1], k);
    free(prefix);
    free(rest);
    return rc;
}

int verb_network_list(struct cli *c, int argc, char **argv)
{
    return device_list(c, argc, argv, &net);
}

int verb_network_attach(struct cli *c, int argc, char **argv)
{
    return device_attach(c, argc, argv, &net);
}

int verb_network_detach(struct cli *c, int argc, char **argv)
{
    return device_detach(c, argc, argv, &net);
}

int verb_block_list(struct cli *c, int argc, char **argv)
{
    return device_list(c, argc, argv, &disk);
}

int verb_block_attach(struct cli *c, int argc, char **argv)
{
    return device_attach(c, argc, argv, &disk);
}

int verb_block_detach(struct cli *c, int argc, char **argv)
{
    return device_detach(c, argc, argv, &disk);
}
