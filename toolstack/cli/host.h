/* SPDX-License-Identifier: MIT */
/*
 * host.h - requests to the host that the command was pointed at, over libcurl.
 *
 * A function that returns an exit status has complained already unless the status is CLI_OK.
 * TLS is always verified; a plain http:// host is asked only when that was meant, and never sees
 * a token.
 */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include "toolstack/cli/cli.h"
#include "toolstack/cli/conf.h"

#define HOST_ANSWER_MAX (16u << 20)     /* a larger answer is refused */

struct host {
    struct conf_host at;                /* where and how; its texts are owned elsewhere */
    char *token;                        /* NULL = none */
    CURL *curl;                         /* of host_call(), NULL before the first */
};

struct call {
    const char *method, *path;          /* path starts with "/v1/" */
    const char *what;                   /* for progress: "creating web"; NULL = nothing is shown */
    const char *offer;                  /* for "this host does not offer ...": what the path gives */
    /* The request's body: JSON, text, or a file. */
    json_t *json;
    const char *type;                   /* of text */
    const char *text;
    size_t text_len;
    FILE *file;
    uint64_t file_size;
    unsigned int timeout;               /* seconds of silence; 0 = the default */
    bool quiet_404;                     /* CLI_NOT_FOUND without a complaint */
    bool silent;                        /* no complaint about any answer of the host */
    /* For streams: each piece of a 2xx body as it comes; false ends the request, which counts as
     * success. The answer is then empty. */
    bool (*sink)(void *arg, const char *data, size_t len);
    void *arg;
};

struct answer {
    long status;
    char *body;                         /* NUL-terminated */
    size_t len;
};

/* Sluice's own settings for hosts, read once. NULL after a complaint (CLI_USAGE). */
const struct conf *host_conf(struct cli *c);
/* Finds out which host is meant and how to speak to it. Called by the functions below. */
int host_open(struct cli *c);
void host_close(struct cli *c);
/* The host's name for messages: as in sluice.conf, or its URL. */
const char *host_name(struct cli *c);

/* One request. answer_free() afterwards, whatever comes back. */
int host_call(struct cli *c, const struct call *k, struct answer *a);
void answer_free(struct answer *a);
/* One request whose answer is JSON, of type JSON_ARRAY or JSON_OBJECT. *out is the caller's. */
int host_json(struct cli *c, const struct call *k, json_type type, json_t **out);
/* Without a body, and the answer is of no interest; prints it with --json. */
int host_do(struct cli *c, const struct call *k);

/* "/v1/domains/NAME" and what follows, with NAME escaped. To be freed. */
char *host_path(const char *prefix, const char *name, const char *rest);

/* The pieces that a console needs: a request of our own on the same connection settings. */
CURL *host_handle(struct cli *c, const char *method, const char *path);
/* Complains about a transfer that failed. */
int host_curl_error(struct cli *c, CURLcode rc, const char *detail);
/* Complains about an answer that is no 2xx. body is NUL-terminated. */
int host_status_error(struct cli *c, const struct call *k, long status, const char *body);

#endif
