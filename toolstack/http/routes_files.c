/* SPDX-License-Identifier: MIT */
/* routes_files.c - endpoints about the files that domains are made of: list, upload, fetch, remove. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "toolstack/http/fetch.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/transfer.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"

static void write_file(struct json_out *o, const void *arg)
{
    const struct file *f = arg;

    json_open(o, NULL, '{');
    json_string(o, "name", f->name);
    json_uint(o, "size", f->size);
    json_string(o, "source", f->source);
    json_string(o, "state", "ready");
    json_uint(o, "used", file_users(f));
    json_close(o, '}');
}

static void write_transfer(struct json_out *o, const void *arg)
{
    const struct transfer *t = arg;

    json_open(o, NULL, '{');
    json_string(o, "name", t->name);
    if (t->sized)
        json_uint(o, "size", t->size);
    json_string(o, "source", t->source);
    json_string(o, "state", t->failed ? "failed" : "receiving");
    json_uint(o, "used", 0);
    json_uint(o, "received", t->received);
    if (t->failed)
        json_string(o, "error", t->error);
    json_close(o, '}');
}

static void write_files(struct json_out *o, const void *arg)
{
    struct transfer *t;
    struct file *f;

    json_open(o, NULL, '[');
    file_for_each(f)
        write_file(o, f);
    transfer_for_each(t)
        write_transfer(o, t);
    json_close(o, ']');
}

static void get_files(struct api_call *k)
{
    api_reply_json(k->conn, 200, write_files, NULL);
}

static void no_file(struct api_call *k)
{
    char line[VM_NAME_MAX + 32];

    snprintf(line, sizeof(line), "no file %s", k->name);
    http_reply_error(k->conn, 404, line);
}

static struct file *find_exact(const char *name)
{
    struct file *f = file_find(name);

    return f && strcmp(f->name, name) == 0 ? f : NULL;
}

/* What is on its way hides the file that it will replace. */
static void get_file(struct api_call *k)
{
    struct transfer *t = transfer_find(k->name);
    struct file *f = find_exact(k->name);

    if (t)
        api_reply_json(k->conn, 200, write_transfer, t);
    else if (f)
        api_reply_json(k->conn, 200, write_file, f);
    else
        no_file(k);
}

static void delete_file(struct api_call *k)
{
    struct transfer *t = transfer_find(k->name);
    struct file *f = find_exact(k->name);
    char why[WHY_MAX] = "";

    if (t && !t->failed && !t->cancel) {
        http_reply_error(k->conn, 409, "it is being uploaded");
    } else if (t) {
        if (t->cancel)
            t->cancel(t);
        transfer_drop(t);
        http_reply(k->conn, 200, NULL, "{}\n", 3);
    } else if (!f) {
        no_file(k);
    } else if (file_delete(f, why)) {
        http_reply_error(k->conn, 409, why);
    } else {
        log_info("file %s removed", k->name);
        http_reply(k->conn, 200, NULL, "{}\n", 3);
    }
}

/* -XEN_E2BIG is about this request alone. */
static int status_of(int rc)
{
    return rc == -XEN_E2BIG ? 413 : api_status_of(rc);
}

/* ---- uploads ---- */

static int upload_data(void *arg, const void *data, size_t len, const char **why)
{
    if (transfer_data(arg, data, len))
        return 0;
    *why = "no memory left for the rest of it";
    return -503;
}

static void upload_end(void *arg, struct http_conn *c)
{
    char why[WHY_MAX];
    struct file *f;
    int rc;

    f = transfer_done(arg, &rc, why);
    if (!f) {
        http_reply_error(c, status_of(rc), why);
        return;
    }
    log_info("file %s: %lu bytes uploaded", f->name, f->size);
    api_reply_json(c, 201, write_file, f);
}

static void upload_gone(void *arg)
{
    transfer_drop(arg);
}

static void put_file(struct api_call *k)
{
    static const struct http_sink sink = {
        .data = upload_data, .end = upload_end, .gone = upload_gone
    };
    struct transfer *t;
    char why[WHY_MAX];
    int rc;

    if (!k->rq->has_length) {
        http_reply_error(k->conn, 411, "Content-Length is needed");
        return;
    }
    t = transfer_begin(k->name, "upload", &rc, why);
    if (t) {
        rc = transfer_size(t, k->rq->content_length, why);
        if (rc)
            transfer_drop(t);
    }
    if (rc)
        http_reply_error(k->conn, status_of(rc), why);
    else
        http_receive(k->conn, &sink, t);
}

/* ---- fetched from another server ---- */

static int fetch_size(void *arg, uint64_t bytes, char *why)
{
    return transfer_size(arg, bytes, why);
}

static void fetch_data(void *arg, const uint8_t *data, size_t len)
{
    (void)transfer_data(arg, data, len);    /* what is missing in the end fails it */
}

static void fetch_done(void *arg, int rc, const char *line)
{
    struct transfer *t = arg;
    char name[TRANSFER_NAME_MAX], why[WHY_MAX];

    strlcpy(name, t->name, sizeof(name));
    if (rc) {
        log_warn("file %s: %s", name, line);
        transfer_fail(t, line);
        return;
    }
    if (transfer_done(t, &rc, why))
        log_info("file %s: fetched", name);
    else
        log_warn("file %s: %s", name, why);     /* the name has been taken, or memory has run out */
}

static void fetch_stop(struct transfer *t)
{
    fetch_cancel(t->feeder);
}

static void post_file(struct api_call *k)
{
    static const struct fetch_events events = {
        .size = fetch_size, .data = fetch_data, .done = fetch_done
    };
    char why[WHY_MAX], *strings;
    struct json_value *top = api_body_json(k, &strings);
    const char *url = NULL;
    struct transfer *t;
    int rc;

    if (!top)
        return;
    if (!api_get_string(k, top, "url", true, &url)) {
        free(strings);
        return;
    }
    t = transfer_begin(k->name, "url", &rc, why);
    if (t) {
        t->feeder = fetch_start(api_net(), url, &events, t, why);
        t->cancel = fetch_stop;
        rc = t->feeder ? 0 : -XEN_EINVAL;
        if (rc)
            transfer_drop(t);
    }
    free(strings);
    if (rc)
        http_reply_error(k->conn, status_of(rc), why);
    else
        api_reply_json(k->conn, 202, write_transfer, t);
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/files", ROLE_READER, 0, get_files },
    { HTTP_GET, "/v1/files/{name}", ROLE_READER, 0, get_file },
    { HTTP_PUT, "/v1/files/{name}", ROLE_ADMIN, TAKES_BODY, put_file },
    { HTTP_POST, "/v1/files/{name}", ROLE_ADMIN, 4096, post_file },
    { HTTP_DELETE, "/v1/files/{name}", ROLE_ADMIN, 0, delete_file },
};

API_TABLE(routes_files, rows);
