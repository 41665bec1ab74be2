/* SPDX-License-Identifier: MIT */
/*
 * conf.h - sluice.conf: hosts by name. conf_parse() is pure; conf_load() finds and reads the files.
 *
 *   # comment
 *   default = h1
 *   [h1]
 *   url = https://h1.example.net
 *   ca = /etc/sluice/ca.pem        paths: "~/" is the home directory, others but absolute ones are
 *   token-file = ~/.config/h1.token           relative to the file's own directory
 */
#ifndef CLI_CONF_H
#define CLI_CONF_H

#include "compiler.h"

#define CONF_HOSTS 256

struct conf_host {
    char *name;
    char *url;                  /* "https://h1.example.net", no slash at its end; NULL = not set */
    char *ca, *cert, *key, *token_file;
    bool insecure;              /* a http:// URL is meant */
    const char *file;           /* where it stands */
};

struct conf {
    struct conf_host host[CONF_HOSTS];
    unsigned int hosts;
    char *default_host;
    char *files[2];             /* those that were read */
    unsigned int nr_files;
};

/*
 * Adds what the text of a file says; a host that stands already keeps its values (so the first file
 * wins). home may be NULL. Returns true, or false with one line "file:line: what" in why (to be
 * freed).
 */
bool conf_parse(struct conf *f, const char *file, const char *text, size_t len, const char *home,
                char **why);
void conf_free(struct conf *f);

const struct conf_host *conf_find(const struct conf *f, const char *name);

/* An absolute http:// or https:// URL with a host and no path, user or query. */
bool conf_url_ok(const char *url);

#endif
