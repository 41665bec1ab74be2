/* SPDX-License-Identifier: MIT */
/* conf.c - sluice.conf: hosts by name (see conf.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/cli/conf.h"
#include "toolstack/cli/text.h"

struct reader {
    struct conf *f;
    const char *file, *home;
    unsigned int line;
    struct conf_host *host;     /* the section that is being read; NULL before the first */
    bool skip;                  /* a section that an earlier file has already */
    char **why;
};

static bool bad(struct reader *r, const char *what, const char *about)
{
    *r->why = must_printf("%s:%u: %s%s%s%s", r->file, r->line, what, about ? " '" : "",
                          about ? about : "", about ? "'" : "");
    return false;
}

bool conf_url_ok(const char *url)
{
    size_t n, i;

    if (!strncmp(url, "https://", 8))
        n = 8;
    else if (!strncmp(url, "http://", 7))
        n = 7;
    else
        return false;
    if (!url[n])
        return false;
    for (i = n; url[i]; i++)
        if ((unsigned char)url[i] <= ' ' || (unsigned char)url[i] >= 0x7f || strchr("/?#@\\", url[i]))
            return false;
    return true;
}

static char *path_of(const struct reader *r, const char *value)
{
    const char *slash = strrchr(r->file, '/');

    if (value[0] == '~' && value[1] == '/' && r->home)
        return must_printf("%s%s", r->home, value + 1);
    if (value[0] == '/' || !slash)
        return must(strdup(value));
    return must_printf("%.*s/%s", (int)(slash - r->file), r->file, value);
}

static bool set_url(struct reader *r, const char *value)
{
    char *url = must(strdup(value));
    size_t n = strlen(url);

    if (n && url[n - 1] == '/')
        url[n - 1] = '\0';
    if (!conf_url_ok(url)) {
        free(url);
        return bad(r, "a host's url is https://NAME or https://NAME:PORT and no more, not", value);
    }
    free(r->host->url);
    r->host->url = url;
    return true;
}

static bool set_host_key(struct reader *r, const char *key, const char *value)
{
    struct conf_host *h = r->host;
    const struct {
        const char *name;
        char **to;
    } paths[] = {
        { "ca", &h->ca }, { "cert", &h->cert }, { "key", &h->key }, { "token-file", &h->token_file },
    };

    if (!strcmp(key, "url"))
        return set_url(r, value);
    if (!strcmp(key, "insecure")) {
        h->insecure = !strcmp(value, "yes");
        return h->insecure || !strcmp(value, "no") || bad(r, "insecure is yes or no, not", value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (strcmp(key, paths[i].name))
            continue;
        free(*paths[i].to);
        *paths[i].to = path_of(r, value);
        return true;
    }
    if (!strcmp(key, "token"))
        return bad(r, "a token stands in a file of its own: set token-file", NULL);
    return bad(r, "a host has url, ca, cert, key, token-file and insecure, but no key", key);
}

static bool begin_host(struct reader *r, const char *name)
{
    struct conf *f = r->f;

    if (!*name)
        return bad(r, "a host needs a name between the brackets", NULL);
    for (const char *s = name; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              strchr("-_.", *s)))
            return bad(r, "a host's name has letters, digits and -_. only:", name);
    for (unsigned int i = 0; i < f->hosts; i++) {
        if (strcmp(f->host[i].name, name))
            continue;
        if (!strcmp(f->host[i].file, r->file))
            return bad(r, "this host stands in the file twice:", name);
        r->skip = true;
        return true;
    }
    if (f->hosts == CONF_HOSTS)
        return bad(r, "too many hosts", NULL);
    r->skip = false;
    r->host = &f->host[f->hosts++];
    *r->host = (struct conf_host){ .name = must(strdup(name)), .file = f->files[f->nr_files - 1] };
    return true;
}

static char *trim(char *s)
{
    size_t n;

    while (*s == ' ' || *s == '\t')
        s++;
    n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        s[--n] = '\0';
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        s[n - 1] = '\0';
        s++;
    }
    return s;
}

static bool one_line(struct reader *r, char *line)
{
    char *s = trim(line), *eq;
    size_t n = strlen(s);

    if (!n || *s == '#' || *s == ';')
        return true;
    if (*s == '[') {
        if (s[n - 1] != ']')
            return bad(r, "expected ']' at the end of the line", NULL);
        s[n - 1] = '\0';
        return begin_host(r, trim(s + 1));
    }
    eq = strchr(s, '=');
    if (!eq)
        return bad(r, "expected [host] or key = value, not", s);
    *eq = '\0';
    s = trim(s);
    eq = trim(eq + 1);
    if (!*eq)
        return bad(r, "no value is given for", s);
    if (r->skip)
        return true;
    if (r->host)
        return set_host_key(r, s, eq);
    if (strcmp(s, "default"))
        return bad(r, "before the first [host] only `default = HOST' may stand, not", s);
    if (!r->f->default_host)
        r->f->default_host = must(strdup(eq));
    return true;
}

static bool check_hosts(struct reader *r)
{
    for (unsigned int i = 0; i < r->f->hosts; i++) {
        struct conf_host *h = &r->f->host[i];

        if (!h->url) {
            *r->why = must_printf("%s: host %s has no url: add `url = https://...'", h->file, h->name);
            return false;
        }
        if (!h->cert != !h->key) {
            *r->why = must_printf("%s: host %s: cert and key go together; set both", h->file, h->name);
            return false;
        }
    }
    return true;
}

bool conf_parse(struct conf *f, const char *file, const char *text, size_t len, const char *home,
                char **why)
{
    struct reader r = { .f = f, .file = file, .home = home, .why = why };
    char *copy = must(malloc(len + 1)), *p = copy;
    bool ok = true;

    f->files[f->nr_files++] = must(strdup(file));
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (memchr(copy, '\0', len)) {
        r.line = 1;
        ok = bad(&r, "this is no text file", NULL);
    }
    while (ok && p) {
        char *end = strchr(p, '\n');

        if (end)
            *end = '\0';
        r.line++;
        ok = one_line(&r, p);
        p = end ? end + 1 : NULL;
    }
    free(copy);
    return ok && check_hosts(&r);
}

const struct conf_host *conf_find(const struct conf *f, const char *name)
{
    for (unsigned int i = 0; i < f->hosts; i++)
        if (!strcmp(f->host[i].name, name))
            return &f->host[i];
    return NULL;
}

void conf_free(struct conf *f)
{
    for (unsigned int i = 0; i < f->hosts; i++) {
        struct conf_host *h = &f->host[i];

        free(h->name);
        free(h->url);
        free(h->ca);
        free(h->cert);
        free(h->key);
        free(h->token_file);
    }
    for (unsigned int i = 0; i < f->nr_files; i++)
        free(f->files[i]);
    free(f->default_host);
    *f = (struct conf){ 0 };
}
