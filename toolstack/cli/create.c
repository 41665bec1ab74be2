/* SPDX-License-Identifier: MIT */
/*
 * create.c - the verb create: an xl.cfg of this machine becomes a domain of the host.
 *
 * Kernel and ramdisk are looked for on the host first, by the name the configuration gives, then
 * here; what is only here is uploaded under a name that holds its hash, and the configuration gets
 * a line more, which names it so. A second create finds the file there.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "toolstack/cli/console.h"
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/image.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/source.h"

#define CREATE_SECONDS 600u     /* a kernel is decompressed, memory built: a host may take its time */

struct options {
    const char *file;
    bool paused, console, dry_run, show, no_check;
};

/* Is the host's file of this name the one meant? Without a file here, or with one as large: yes. */
static bool host_has(const json_t *files, const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const json_t *there = image_find(files, path);
    struct stat st;

    there = there ? there : image_find(files, base);
    return there && (stat(path, &st) || !S_ISREG(st.st_mode) ||
                     field_uint(there, "size", UINT64_MAX) == (uint64_t)st.st_size);
}

/* Makes sure that the host has the file that key names, and that the configuration says which. */
static int bring(struct cli *c, struct source *s, json_t *files, const char *key, const char *path, bool dry_run)
{
    char *name, *setting;
    int rc = CLI_OK;

    if (!path[0] || host_has(files, path))
        return CLI_OK;
    if (access(path, R_OK))
        return complain(c, CLI_NOT_FOUND, "see sluice files for what the host has; sluice upload brings it more",
                        "%s = %s: not a file of %s, and here: %s", key, path, host_name(c), strerror(errno));
    name = image_name(c, path);
    if (!name)
        return CLI_FAILED;
    if (image_find(files, name)) {
        /* There already. */
    } else if (dry_run) {
        note(c, "%s would be uploaded as %s", path, name);
    } else {
        rc = image_upload(c, path, name, NULL);
        if (!rc)
            json_array_append_new(files, json_pack("{s:s}", "name", name));
    }
    setting = must_printf("%s=\"%s\"", key, name);
    if (!rc)
        rc = source_set(c, s, setting);
    free(setting);
    free(name);
    return rc;
}

static int post(struct cli *c, const struct source *s, const char *name, bool paused)
{
    char *what = must_printf("creating %s", name);
    json_t *body = json_pack("{s:s#, s:b}", "config", s->text, s->len, "paused", paused), *o = NULL;
    struct domain d;
    const char *why;
    int rc;

    if (!body) {
        free(what);
        return complain(c, CLI_USAGE, NULL, "%s: the text is no UTF-8", s->name ? s->name : "command line");
    }
    rc = host_json(c, &(struct call){ .method = "POST", .path = "/v1/domains", .offer = "creating domains",
                                      .what = what, .json = body, .timeout = CREATE_SECONDS }, JSON_OBJECT, &o);
    if (!rc && c->json)
        say_json(o);
    else if (!rc && domain_read(o, &d, &why))
        note(c, "%s: domain %" PRId64 " is %s", name, d.id, d.state);
    json_decref(o);
    json_decref(body);
    free(what);
    return rc;
}

static int create(struct cli *c, struct source *s, const struct options *o)
{
    static struct vm_config cfg;
    unsigned int refused, noted;
    json_t *files, *findings;
    int rc;

    findings = c->json ? must(json_array()) : NULL;
    source_review(c, s, &cfg, &refused, &noted, findings);
    if (json_array_size(findings)) {
        json_dumpf(findings, stderr, JSON_ENSURE_ASCII);
        fputc('\n', stderr);
    }
    json_decref(findings);
    if (refused && !o->no_check)
        return complain(c, CLI_USAGE, "change what is refused, or let the host decide with --no-check",
                        "%s: no domain of this host", s->name ? s->name : "command line");
    rc = images_get(c, &files);
    if (rc)
        return rc;
    rc = bring(c, s, files, "kernel", cfg.kernel, o->dry_run);
    if (!rc)
        rc = bring(c, s, files, "ramdisk", cfg.ramdisk, o->dry_run);
    json_decref(files);
    if (!rc && o->show)
        fwrite(s->text, 1, s->len, stdout);
    if (rc || o->dry_run)
        return rc;
    rc = post(c, s, cfg.name, o->paused || o->console);
    if (!rc && o->console)
        rc = console_run(c, cfg.name, &(struct console_options){ .unpause = !o->paused });
    return rc;
}

int verb_create(struct cli *c, int argc, char **argv)
{
    static const struct option longs[] = {
        { "no-check", no_argument, NULL, 'N' }, { "defconfig", required_argument, NULL, 'f' },
        { "dryrun", no_argument, NULL, 'n' }, { "paused", no_argument, NULL, 'p' }, { 0 },
    };
    struct options o = { 0 };
    struct source s;
    int opt, rc;

    while ((opt = getopt_long(argc, argv, "pcnqf:deF", longs, NULL)) >= 0) {
        switch (opt) {
        case 'p': o.paused = true; break;
        case 'c': o.console = true; break;
        case 'n': o.dry_run = true; break;
        case 'd': o.show = true; break;
        case 'q': c->quiet = true; break;
        case 'f': o.file = optarg; break;
        case 'N': o.no_check = true; break;
        case 'e': case 'F': break;      /* xl's own waiting for the domain's end: the host does it */
        default: return verb_usage(c, argv[0]);
        }
    }
    if (!o.file && optind < argc && (!strchr(argv[optind], '=') || access(argv[optind], F_OK) == 0))
        o.file = argv[optind++];
    if (!o.file && optind == argc)
        return verb_usage(c, argv[0]);
    rc = source_read(c, &s, o.file);
    for (; !rc && optind < argc; optind++)
        rc = source_set(c, &s, argv[optind]);
    if (!rc)
        rc = create(c, &s, &o);
    source_free(&s);
    return rc;
}
