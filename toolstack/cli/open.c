/* SPDX-License-Identifier: MIT */
/* open.c - which host is meant, and with what credential: -H, sluice.conf, files (see host.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"

#define SYSTEM_CONF "/etc/sluice.conf"
#define FILE_MAX    (1u << 20)
#define TOKEN_MAX   1024

/* A small file as text, or NULL with errno set. To be freed. */
static char *read_small(const char *path, size_t *len)
{
    FILE *f = fopen(path, "re");
    char *buf;

    if (!f)
        return NULL;
    buf = must(malloc(FILE_MAX + 1));
    *len = fread(buf, 1, FILE_MAX, f);
    if (ferror(f)) {
        int err = errno;

        free(buf);
        fclose(f);
        errno = err;
        return NULL;
    }
    fclose(f);
    buf[*len] = '\0';
    return buf;
}

/* One file of settings; one that is not there is no error unless it was asked for by name. */
static bool load(struct cli *c, struct conf *f, const char *path, bool wanted)
{
    size_t len;
    char *text = read_small(path, &len), *why = NULL;
    bool ok;

    if (!text) {
        if (!wanted && (errno == ENOENT || errno == ENOTDIR))
            return true;
        complain(c, CLI_USAGE, NULL, "%s: %s", path, strerror(errno));
        return false;
    }
    ok = conf_parse(f, path, text, len, getenv("HOME"), &why);
    if (!ok)
        complain(c, CLI_USAGE, "see sluice.conf(5)", "%s", why);
    free(why);
    free(text);
    return ok;
}

const struct conf *host_conf(struct cli *c)
{
    static struct conf conf;
    static bool loaded;
    const char *named = c->config ? c->config : getenv("SLUICE_CONFIG");
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *own = NULL;
    bool ok;

    if (loaded)
        return &conf;
    if (named) {
        ok = load(c, &conf, named, true);
    } else {
        if (xdg && *xdg)
            own = must_printf("%s/sluice.conf", xdg);
        else if (home)
            own = must_printf("%s/.config/sluice.conf", home);
        ok = (!own || load(c, &conf, own, false)) && load(c, &conf, SYSTEM_CONF, false);
        free(own);
    }
    if (ok && conf.default_host && !conf_find(&conf, conf.default_host)) {
        complain(c, CLI_USAGE, "add a section for it, or name another", "%s: default = %s: no such host",
                 conf.files[0], conf.default_host);
        ok = false;
    }
    if (!ok)
        conf_free(&conf);
    loaded = ok;
    return ok ? &conf : NULL;
}

static int no_host(struct cli *c, const struct conf *f, const char *name)
{
    char *known = NULL;
    size_t n;
    FILE *m = must(open_memstream(&known, &n));
    int rc;

    fputs(f->hosts ? "sluice.conf knows: " : "no sluice.conf names a host; see sluice.conf(5), or use -H URL", m);
    for (unsigned int i = 0; i < f->hosts; i++)
        fprintf(m, "%s%s", i ? ", " : "", f->host[i].name);
    fclose(m);
    if (name)
        rc = complain(c, CLI_USAGE, known, "no host is called %s", name);
    else
        rc = complain(c, CLI_USAGE, known, "which host? name one with -H HOST");
    free(known);
    return rc;
}

static int load_token(struct cli *c, struct host *h)
{
    struct stat st;
    size_t len, n;
    char *text;

    if (stat(h->at.token_file, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) & ~S_IRGRP)
        note(c, "warning: %s can be read by others: chmod 600 it", h->at.token_file);
    text = read_small(h->at.token_file, &len);
    if (!text)
        return complain(c, CLI_USAGE, NULL, "token file %s: %s", h->at.token_file, strerror(errno));
    while (len && strchr(" \t\r\n", text[len - 1]))
        text[--len] = '\0';
    n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=");
    if (!len || n != len || len > TOKEN_MAX) {
        free(text);
        return complain(c, CLI_USAGE, "it holds one token and nothing else", "token file %s: this is no token",
                        h->at.token_file);
    }
    h->token = text;
    return CLI_OK;
}

/* No secret over plain HTTP, and plain HTTP only when it was meant. */
static int check_plain(struct cli *c, const struct host *h)
{
    bool https = !strncmp(h->at.url, "https:", 6);

    if (https && h->at.insecure)
        return complain(c, CLI_USAGE, "https is always verified: name the authority with ca, and leave it out",
                        "%s: insecure is for http:// hosts", h->at.url);
    if (!https && !h->at.insecure)
        return complain(c, CLI_USAGE, "say --insecure (in sluice.conf: insecure = yes) if that is meant",
                        "%s is not encrypted: everybody on the way can read and change what is sent",
                        h->at.url);
    if (!https && (h->at.token_file || h->at.cert))
        return complain(c, CLI_USAGE, "use https://", "%s: a credential is not sent unencrypted", h->at.url);
    return CLI_OK;
}

int host_open(struct cli *c)
{
    const char *name = c->host ? c->host : getenv("SLUICE_HOST");
    const struct conf *f = host_conf(c);
    const struct conf_host *known;
    struct host *h;
    int rc;

    if (!f)
        return CLI_USAGE;
    if (name && !*name)
        name = NULL;
    if (!name)
        name = f->default_host ? f->default_host : f->hosts == 1 ? f->host[0].name : NULL;
    known = name ? conf_find(f, name) : NULL;
    if (!known && !(name && strstr(name, "://")))
        return no_host(c, f, name);
    h = must(calloc(1, sizeof(*h)));
    if (known) {
        h->at = *known;
    } else {
        if (!conf_url_ok(name)) {
            free(h);
            return complain(c, CLI_USAGE, "a host's URL is https://NAME or https://NAME:PORT", "-H %s is no such URL",
                            name);
        }
        h->at.url = must(strdup(name));
    }
    if (c->ca)
        h->at.ca = (char *)(uintptr_t)c->ca;
    if (c->cert || c->key) {
        h->at.cert = (char *)(uintptr_t)c->cert;
        h->at.key = (char *)(uintptr_t)(c->key ? c->key : c->cert);
    }
    if (c->token_file)
        h->at.token_file = (char *)(uintptr_t)c->token_file;
    h->at.insecure |= c->insecure;
    c->conn = h;
    rc = h->at.key && !h->at.cert ? complain(c, CLI_USAGE, "add --cert FILE", "a key without its certificate")
                                  : check_plain(c, h);
    if (!rc && h->at.ca && access(h->at.ca, R_OK))
        rc = complain(c, CLI_USAGE, NULL, "CA file %s: %s", h->at.ca, strerror(errno));
    if (!rc && h->at.token_file)
        rc = load_token(c, h);
    if (rc)
        host_close(c);
    return rc;
}

void host_close(struct cli *c)
{
    if (!c->conn)
        return;
    if (!c->conn->at.name)
        free(c->conn->at.url);
    free(c->conn->token);
    curl_easy_cleanup(c->conn->curl);
    free(c->conn);
    c->conn = NULL;
}
