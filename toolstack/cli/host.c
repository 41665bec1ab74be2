/* SPDX-License-Identifier: MIT */
/* host.c - requests to a host over libcurl (see host.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"

#define SILENT_SECONDS  30u         /* a host that sends nothing for so long is given up */

const char *host_name(struct cli *c)
{
    return c->conn->at.name ? c->conn->at.name : c->conn->at.url;
}

char *host_path(const char *prefix, const char *name, const char *rest)
{
    char *escaped = must(curl_easy_escape(NULL, name, 0));
    char *path = must_printf("%s%s%s", prefix, escaped, rest);

    curl_free(escaped);
    return path;
}

static void set_up(struct cli *c, CURL *e, const char *method, const char *path)
{
    const struct host *h = c->conn;
    char *url = must_printf("%s%s", h->at.url, path);

    curl_easy_setopt(e, CURLOPT_URL, url);
    free(url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)(c->timeout ? c->timeout : SILENT_SECONDS));
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (h->at.ca) {
        /* Nobody but this authority is trusted then. */
        curl_easy_setopt(e, CURLOPT_CAINFO, h->at.ca);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    if (h->at.cert) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, h->at.cert);
        curl_easy_setopt(e, CURLOPT_SSLKEY, h->at.key);
    }
    if (h->token) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, h->token);
    }
}

CURL *host_handle(struct cli *c, const char *method, const char *path)
{
    CURL *e = must(curl_easy_init());

    set_up(c, e, method, path);
    return e;
}

/* ------------------------------------------------------------------ errors */

int host_curl_error(struct cli *c, CURLcode rc, const char *detail)
{
    struct host *h = c->conn;
    const char *host = host_name(c);
    const char *more = detail && *detail ? detail : curl_easy_strerror(rc);

    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return complain(c, CLI_UNREACHABLE, "check the host's url, and the name server",
                        "%s: no address for %s", host, h->at.url);
    case CURLE_COULDNT_CONNECT:
        return complain(c, CLI_UNREACHABLE,
                        "is the host up, and was it started with an API? its log says on which port",
                        "%s: %s does not answer: %s", host, h->at.url, more);
    case CURLE_OPERATION_TIMEDOUT:
        return complain(c, CLI_UNREACHABLE, "try again, or wait longer with --timeout SECONDS",
                        "%s: no answer in time", host);
    case CURLE_PEER_FAILED_VERIFICATION:
        return complain(c, CLI_UNREACHABLE,
                        h->at.ca ? "is this the host you mean, and ca the authority that signed its "
                                   "certificate?"
                                 : "name the authority that signed it: ca = FILE in sluice.conf, or --ca FILE",
                        "%s: the host's certificate is not to be trusted: %s", host, more);
    case CURLE_SSL_CACERT_BADFILE:
        return complain(c, CLI_USAGE, "it must hold certificates in PEM form", "%s: cannot use the CA file %s",
                        host, h->at.ca ? h->at.ca : "of the system");
    case CURLE_SSL_CERTPROBLEM:
        return complain(c, CLI_USAGE, "cert and key must be PEM files that belong together",
                        "%s: cannot use the client certificate %s: %s", host, h->at.cert, more);
    case CURLE_SSL_CONNECT_ERROR:
        return complain(c, CLI_UNREACHABLE,
                        "does the host speak TLS on this port? a host with api=insecure has a http:// URL",
                        "%s: no TLS connection: %s", host, more);
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return complain(c, CLI_UNREACHABLE, "is the host still up? try again",
                        "%s: the connection broke off: %s", host, more);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return complain(c, CLI_NONSENSE, "is this the address of a Sluice host?",
                        "%s: what answers does not speak HTTP: %s", host, more);
    default:
        return complain(c, CLI_UNREACHABLE, NULL, "%s: %s", host, more);
    }
}

/* What the host itself says is wrong, or NULL. To be freed. */
static char *error_of(const char *body)
{
    json_t *o = json_loads(body, 0, NULL);
    const char *s = json_string_value(json_object_get(o, "error"));
    char *text = s ? must(strdup(s)) : NULL;

    json_decref(o);
    return text;
}

int host_status_error(struct cli *c, const struct call *k, long status, const char *body)
{
    char *said = error_of(body);
    const char *host = host_name(c);
    int rc;

    if (status == 405 || status == 501 || (status == 404 && (!said || !strcmp(said, "no such path"))))
        rc = complain(c, CLI_NOT_OFFERED,
                      said ? "it may be older than this command: see sluice version"
                           : "is this the address of a Sluice host?",
                      "%s: this host does not offer %s", host, k->offer ? k->offer : k->path);
    else if (status == 401)
        rc = complain(c, CLI_DENIED,
                      c->conn->token || c->conn->at.cert
                          ? "is it among the host's api.tokens, or signed by its api.ca?"
                          : "set token-file, or cert and key, for this host in sluice.conf",
                      "%s: the host wants %s credential%s%s", host,
                      c->conn->token || c->conn->at.cert ? "another" : "a", said ? ": " : "",
                      said ? said : "");
    else if (status == 403)
        rc = complain(c, CLI_DENIED, "this needs the credential of an administrator", "%s: not allowed: %s",
                      host, said ? said : "the credential's role is too low");
    else if (status == 404)
        rc = complain(c, CLI_NOT_FOUND, NULL, "%s: %s", host, said);
    else if (status == 429)
        rc = complain(c, CLI_FAILED, "wait a little and try again", "%s: %s", host,
                      said ? said : "too many requests");
    else if (!said)
        rc = complain(c, CLI_NONSENSE, "is this the address of a Sluice host?",
                      "%s: status %ld and no reason", host, status);
    else
        rc = complain(c, CLI_FAILED, NULL, "%s: %s", host, said);
    free(said);
    return rc;
}

/* ------------------------------------------------------------------ one request */

struct transfer {
    const struct call *k;
    CURL *curl;
    struct answer *a;
    struct progress progress;
    bool too_large, ended;
    uint64_t heard_ms;              /* when bytes moved last */
    uint64_t moved;
    unsigned int silent_seconds;
};

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;

    n *= size;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->k->sink && status / 100 == 2) {
        progress_end(&t->progress);
        t->progress.what = NULL;
        t->ended = !t->k->sink(t->k->arg, data, n);
        return t->ended ? CURL_WRITEFUNC_ERROR : n;
    }
    if (n > HOST_ANSWER_MAX - t->a->len) {
        t->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    t->a->body = must(realloc(t->a->body, t->a->len + n + 1));
    memcpy(t->a->body + t->a->len, data, n);
    t->a->len += n;
    t->a->body[t->a->len] = '\0';
    return n;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct transfer *t = arg;
    uint64_t now = clock_ms();

    if ((uint64_t)(down + up) != t->moved) {
        t->moved = (uint64_t)(down + up);
        t->heard_ms = now;
    }
    if (t->silent_seconds && now - t->heard_ms > t->silent_seconds * 1000ull)
        return 1;
    if (t->k->file && (uint64_t)up < t->k->file_size)
        progress_show(&t->progress, (uint64_t)up, t->k->file_size);
    else
        progress_show(&t->progress, 0, 0);
    return 0;
}

static struct curl_slist *set_body(CURL *e, const struct call *k, char **json)
{
    struct curl_slist *headers = NULL;

    if (k->file) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_READDATA, k->file);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)k->file_size);
        headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    } else if (k->json) {
        *json = must(json_dumps(k->json, JSON_COMPACT));
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, *json);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(*json));
        headers = curl_slist_append(headers, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:");
    } else if (k->text || strcmp(k->method, "GET")) {
        char *type = must_printf("Content-Type: %s", k->type ? k->type : "text/plain");

        curl_easy_setopt(e, CURLOPT_POSTFIELDS, k->text ? k->text : "");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)k->text_len);
        headers = curl_slist_append(headers, k->text ? type : "Content-Type:");
        headers = curl_slist_append(headers, "Expect:");
        free(type);
    }
    return headers;
}

int host_call(struct cli *c, const struct call *k, struct answer *a)
{
    struct transfer t = { .k = k, .a = a };
    char detail[CURL_ERROR_SIZE] = "", *json = NULL;
    struct curl_slist *headers;
    CURLcode rc;
    CURL *e;

    *a = (struct answer){ 0 };
    if (!c->conn) {
        int opened = host_open(c);

        if (opened)
            return opened;
    }
    /* One handle for all requests, so that they share a connection. */
    e = t.curl = c->conn->curl = c->conn->curl ? c->conn->curl : must(curl_easy_init());
    curl_easy_reset(e);
    set_up(c, e, k->method, k->path);
    headers = set_body(e, k, &json);
    t.silent_seconds = k->sink ? 0 : c->timeout ? c->timeout : k->timeout ? k->timeout : SILENT_SECONDS;
    t.heard_ms = clock_ms();
    progress_begin(&t.progress, c, k->what);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, &t);
    rc = curl_easy_perform(e);
    progress_end(&t.progress);
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &a->status);
    curl_slist_free_all(headers);
    curl_easy_reset(e);
    free(json);
    if (!a->body)
        a->body = must(calloc(1, 1));
    if (t.too_large)
        return complain(c, CLI_NONSENSE, NULL, "%s: the answer is larger than %u MiB; given up",
                        host_name(c), HOST_ANSWER_MAX >> 20);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return host_curl_error(c, CURLE_OPERATION_TIMEDOUT, NULL);
    /* A host that refuses an upload may close before it has read all; what it said counts. */
    if (rc && !t.ended && !((rc == CURLE_SEND_ERROR || rc == CURLE_RECV_ERROR) && a->status >= 400 && a->len))
        return host_curl_error(c, rc, detail);
    if (a->status / 100 == 2)
        return CLI_OK;
    if (a->status == 404 && k->quiet_404 && strstr(a->body, "\"error\"") &&
        !strstr(a->body, "no such path"))
        return CLI_NOT_FOUND;
    if (k->silent)
        return CLI_FAILED;
    return host_status_error(c, k, a->status, a->body);
}

void answer_free(struct answer *a)
{
    free(a->body);
    a->body = NULL;
}

int host_json(struct cli *c, const struct call *k, json_type type, json_t **out)
{
    struct answer a;
    json_error_t e;
    int rc = host_call(c, k, &a);

    *out = NULL;
    if (!rc) {
        *out = json_loadb(a.body, a.len, JSON_REJECT_DUPLICATES, &e);
        if (!*out)
            rc = complain(c, CLI_NONSENSE, "is this the address of a Sluice host?",
                          "%s: the answer to %s %s is no JSON: %s", host_name(c), k->method, k->path,
                          e.text);
        else if (json_typeof(*out) != type)
            rc = complain(c, CLI_NONSENSE, "is the host newer than this command? see sluice version",
                          "%s: the answer to %s %s is no %s", host_name(c), k->method, k->path,
                          type == JSON_ARRAY ? "list" : "object");
    }
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    answer_free(&a);
    return rc;
}

int host_do(struct cli *c, const struct call *k)
{
    struct answer a;
    int rc = host_call(c, k, &a);

    if (!rc && c->json) {
        json_t *o = json_loadb(a.body, a.len, JSON_DECODE_ANY, NULL);

        if (!o)
            o = json_object();
        say_json(o);
        json_decref(o);
    }
    answer_free(&a);
    return rc;
}
