/* SPDX-License-Identifier: MIT */
/* source.c - a domain's description on the command line (see source.h); the verb config. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/source.h"

int source_read(struct cli *c, struct source *s, const char *file)
{
    FILE *f;
    int err;

    *s = (struct source){ .name = file ? must(strdup(strcmp(file, "-") ? file : "(standard input)")) : NULL };
    s->text = must(malloc(SOURCE_MAX + 2));
    if (!file)
        return CLI_OK;
    f = strcmp(file, "-") ? fopen(file, "re") : stdin;
    if (!f)
        return complain(c, CLI_USAGE, NULL, "%s: %s", file, strerror(errno));
    errno = 0;
    s->len = fread(s->text, 1, SOURCE_MAX, f);
    err = ferror(f) ? errno : 0;
    if (f != stdin)
        fclose(f);
    if (err)
        return complain(c, CLI_USAGE, NULL, "%s: %s", file, strerror(err));
    if (s->len == SOURCE_MAX)
        return complain(c, CLI_USAGE, NULL, "%s: too large for a configuration: %u KiB at most", file,
                        SOURCE_MAX >> 10);
    if (s->len && s->text[s->len - 1] != '\n')
        s->text[s->len++] = '\n';
    for (size_t i = 0; i < s->len; i++)
        s->file_lines += s->text[i] == '\n';
    return CLI_OK;
}

/* name=web: a word without quotes, which a file does not allow. */
static bool bare(const char *v)
{
    return *v != '"' && *v != '\'' && *v != '[' && !(*v >= '0' && *v <= '9' && strspn(v, "0123456789") == strlen(v));
}

int source_set(struct cli *c, struct source *s, const char *setting)
{
    const char *eq = strchr(setting, '=');
    size_t key = eq ? (size_t)(eq - setting) : 0;
    char *line;

    if (key && setting[key - 1] == '+')
        key--;
    if (!key || strspn(setting, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ") < key)
        return complain(c, CLI_USAGE, "for example memory=512 or extra=\"root=/dev/xvda1\"",
                        "%s is no setting: key=value is expected", setting);
    if (strchr(setting, '\n'))
        return complain(c, CLI_USAGE, NULL, "a setting has one line");
    eq++;
    while (*eq == ' ')
        eq++;
    if (bare(eq) && !strchr(eq, '"') && !strchr(eq, '\\'))
        line = must_printf("%.*s\"%s\"\n", (int)(eq - setting), setting, eq);
    else
        line = must_printf("%s\n", setting);
    if (s->len + strlen(line) > SOURCE_MAX) {
        free(line);
        return complain(c, CLI_USAGE, NULL, "too much for one configuration: %u KiB at most", SOURCE_MAX >> 10);
    }
    memcpy(s->text + s->len, line, strlen(line));
    s->len += strlen(line);
    free(line);
    return CLI_OK;
}

void source_free(struct source *s)
{
    free(s->name);
    free(s->text);
}

/* ------------------------------------------------------------------ review */

struct review {
    struct cli *c;
    const struct source *s;
    unsigned int noted;
    json_t *json;
};

static void found(void *arg, const struct vm_config_finding *f)
{
    struct review *r = arg;
    const struct source *s = r->s;
    bool in_file = s->name && f->line <= s->file_lines;
    char *text = clean(f->text);
    char *place = !f->line ? must(strdup(s->name ? s->name : "command line"))
                  : in_file ? must_printf("%s:%u:%u", s->name, f->line, f->column)
                            : must_printf("command line, setting %u", f->line - s->file_lines);
    bool color = r->c->color && r->c->err_tty;

    r->noted += !f->refused;
    if (r->json)
        json_array_append_new(r->json, json_pack("{s:s, s:i, s:i, s:s}", "grade",
                                                 f->refused ? "refused" : "no effect", "line", (int)f->line,
                                                 "column", (int)f->column, "text", text));
    else
        fprintf(stderr, "%s: %s%s:%s %s\n", place, color ? f->refused ? "\033[1;31m" : "\033[33m" : "",
                f->refused ? "refused" : "note", color ? "\033[0m" : "", text);
    free(place);
    free(text);
}

void source_review(struct cli *c, const struct source *s, struct vm_config *cfg, unsigned int *refused,
                   unsigned int *noted, void *json)
{
    struct review r = { .c = c, .s = s, .json = json };

    *refused = vm_config_review(cfg, s->text, s->len, found, &r);
    *noted = r.noted;
}

/* ------------------------------------------------------------------ config check */

/* What is no matter of keys, but what whoever moves a file from another host should know. */
static unsigned int check_names(struct cli *c, const struct source *s, const struct vm_config *cfg, json_t *json)
{
    const struct { const char *key, *path; } files[] = { { "kernel", cfg->kernel }, { "ramdisk", cfg->ramdisk } };
    char *text[2 + VM_DISKS];
    unsigned int n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        const char *base = strrchr(files[i].path, '/') ? strrchr(files[i].path, '/') + 1 : files[i].path;

        if (files[i].path[0] && access(files[i].path, R_OK))
            text[n++] = must_printf("%s: %s is not on this machine: the host must have a file named %s (sluice files)",
                                    files[i].key, files[i].path, base);
    }
    for (uint32_t i = 0; i < cfg->nr_disks; i++) {
        const char *target = cfg->disk[i].target;

        if (!strncmp(target, "/dev/", 5) || !strncmp(target, "phy:", 4))
            text[n++] = must_printf("disk %s: %s is looked for among the host's own disks, which its log names (sluice log)",
                                    cfg->disk[i].vdev, target);
        else if (target[0] == '/')
            text[n++] = must_printf("disk %s: a host has no directories: it looks for a file named %s (sluice files)",
                                    cfg->disk[i].vdev, strrchr(target, '/') + 1);
    }
    for (unsigned int i = 0; i < n; i++) {
        char *line = clean(text[i]);

        if (json)
            json_array_append_new(json, json_pack("{s:s, s:i, s:i, s:s}", "grade", "host", "line", 0, "column", 0,
                                                  "text", line));
        else
            fprintf(stderr, "%s: note: %s\n", s->name, line);
        free(line);
        free(text[i]);
    }
    return n;
}

static int check_file(struct cli *c, const char *file, json_t *out)
{
    static struct vm_config cfg;
    unsigned int refused, noted;
    json_t *list = c->json ? must(json_array()) : NULL;
    struct source s;
    int rc = source_read(c, &s, file);

    if (!rc) {
        source_review(c, &s, &cfg, &refused, &noted, list);
        noted += check_names(c, &s, &cfg, list);
        if (c->json)
            json_object_set(out, s.name, list);
        else if (refused)
            printf("%s: refused: %u thing%s to change\n", s.name, refused, refused == 1 ? "" : "s");
        else if (noted)
            printf("%s: good, with %u note%s\n", s.name, noted, noted == 1 ? "" : "s");
        else
            printf("%s: good\n", s.name);
        rc = refused ? CLI_USAGE : CLI_OK;
    }
    json_decref(list);
    source_free(&s);
    return rc;
}

int verb_config(struct cli *c, int argc, char **argv)
{
    json_t *out = must(json_object());
    int rc = CLI_OK;

    if (argc < 3 || strcmp(argv[1], "check"))
        rc = verb_usage(c, argv[0]);
    for (int i = 2; i < argc && (argc >= 3 && !strcmp(argv[1], "check")); i++) {
        int one = check_file(c, argv[i], out);

        rc = rc ? rc : one;
    }
    if (c->json && argc >= 3)
        say_json(out);
    json_decref(out);
    return rc;
}
