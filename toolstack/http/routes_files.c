/* SPDX-License-Identifier: MIT */
/* routes_files.c - endpoints about the files that domains are made of. */
#include "toolstack/http/api.h"
#include "toolstack/vm/file.h"

static void write_files(struct json_out *o, const void *arg)
{
    struct file *f;

    json_open(o, NULL, '[');
    file_for_each(f) {
        json_open(o, NULL, '{');
        json_string(o, "name", f->name);
        json_uint(o, "size", f->size);
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void get_files(struct api_call *k)
{
    api_reply_json(k->conn, 200, write_files, NULL);
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/files", ROLE_READER, 0, get_files },
};

API_TABLE(routes_files, rows);
