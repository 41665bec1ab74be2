/* SPDX-License-Identifier: MIT */
/* image.c - files that a host makes domains of (see image.h): files, upload, fetch. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/image.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

#define HASH_BYTES 8            /* of the SHA-256, as hexadecimal digits in the name */

int images_get(struct cli *c, json_t **list)
{
    int rc = host_json(c, &(struct call){ .method = "GET", .path = "/v1/files", .offer = "a list of files",
                                          .what = "asking for the files" }, JSON_ARRAY, list);

    for (size_t i = 0; !rc && i < json_array_size(*list); i++) {
        if (field_string(json_array_get(*list, i), "name"))
            continue;
        json_decref(*list);
        *list = NULL;
        rc = complain(c, CLI_NONSENSE, "is the host newer than this command? see sluice version",
                      "%s: the answer has a file without a name", host_name(c));
    }
    return rc;
}

const json_t *image_find(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(field_string(json_array_get(list, i), "name"), name))
            return json_array_get(list, i);
    return NULL;
}

/* An open regular file and its size; NULL after a complaint. */
static FILE *open_file(struct cli *c, const char *path, uint64_t *size)
{
    FILE *f = fopen(path, "re");
    struct stat st;

    if (!f || fstat(fileno(f), &st)) {
        complain(c, CLI_FAILED, NULL, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        complain(c, CLI_FAILED, NULL, "%s is no plain file", path);
    } else if (!st.st_size) {
        complain(c, CLI_FAILED, NULL, "%s is empty", path);
    } else {
        *size = (uint64_t)st.st_size;
        return f;
    }
    if (f)
        fclose(f);
    return NULL;
}

int image_upload(struct cli *c, const char *path, const char *name, json_t **out)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char *where = host_path("/v1/files/", name, ""), *what = must_printf("uploading %s", base);
    uint64_t size = 0;
    struct answer a = { 0 };
    FILE *f = open_file(c, path, &size);
    int rc = CLI_FAILED;

    if (f) {
        char amount[16];

        units_bytes(amount, sizeof(amount), size);
        if (!c->err_tty)
            note(c, "uploading %s (%s) as %s", path, amount, name);
        rc = host_call(c, &(struct call){ .method = "PUT", .path = where, .offer = "uploads", .what = what,
                                          .file = f, .file_size = size }, &a);
        fclose(f);
    }
    if (!rc && out) {
        *out = json_loadb(a.body, a.len, 0, NULL);
        if (!*out)
            *out = json_object();
    }
    answer_free(&a);
    free(where);
    free(what);
    return rc;
}

char *image_name(struct cli *c, const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    unsigned char md[EVP_MAX_MD_SIZE], buf[65536];
    char hex[2 * HASH_BYTES + 1], *name, *what;
    EVP_MD_CTX *ctx;
    struct progress p;
    uint64_t size, done = 0;
    FILE *f = open_file(c, path, &size);
    size_t n;
    int keep;

    if (!f)
        return NULL;
    ctx = must(EVP_MD_CTX_new());
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    what = must_printf("reading %s", base);
    progress_begin(&p, c, what);
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0) {
        EVP_DigestUpdate(ctx, buf, n);
        done += n;
        progress_show(&p, done, size);
    }
    progress_end(&p);
    free(what);
    EVP_DigestFinal_ex(ctx, md, NULL);
    EVP_MD_CTX_free(ctx);
    if (ferror(f)) {
        complain(c, CLI_FAILED, NULL, "%s: %s", path, strerror(errno));
        fclose(f);
        return NULL;
    }
    fclose(f);
    for (int i = 0; i < HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", md[i]);
    keep = IMAGE_NAME_MAX - 1 - 2 * HASH_BYTES;
    name = must_printf("%.*s-%s", keep, base, hex);
    for (char *s = name; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              strchr("-_.+", *s)))
            *s = '_';
    return name;
}

/* ------------------------------------------------------------------ the verbs */

static int remove_files(struct cli *c, int argc, char **argv)
{
    int rc = CLI_OK;

    for (int i = 0; i < argc; i++) {
        char *path = host_path("/v1/files/", argv[i], "");
        int one = host_do(c, &(struct call){ .method = "DELETE", .path = path, .offer = "removing files" });

        rc = rc ? rc : one;
        free(path);
    }
    return rc;
}

int verb_files(struct cli *c, int argc, char **argv)
{
    static const struct table_column cols[] = {
        { .title = "Name", .least = 12 },
        { .title = "Size", .right = true },
        { .title = "From", .drop = 2 },
        { .title = "Used", .right = true, .drop = 1 },
    };
    struct table t;
    json_t *list;
    int rc;

    if (argc > 2 && !strcmp(argv[1], "rm"))
        return remove_files(c, argc - 2, argv + 2);
    if (argc != 1)
        return verb_usage(c, argv[0]);
    rc = images_get(c, &list);
    if (rc)
        return rc;
    table_begin(&t, cols, ARRAY_SIZE(cols));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        const json_t *used = json_object_get(v, "used");
        char size[16], n[24];

        units_bytes(size, sizeof(size), field_uint(v, "size", 0));
        snprintf(n, sizeof(n), "%" PRIu64, field_uint(v, "used", 0));
        table_row(&t, (const char *[]){ field_string(v, "name"), size, field_string(v, "source"),
                                        json_is_integer(used) ? n : NULL });
    }
    if (c->json) {
        say_json(list);
        table_end(&t);
    } else {
        say_table(c, &t);
    }
    json_decref(list);
    return CLI_OK;
}

int verb_upload(struct cli *c, int argc, char **argv)
{
    const char *name;
    json_t *out;
    int rc;

    if (argc < 2 || argc > 3 || argv[1][0] == '-')
        return verb_usage(c, argv[0]);
    name = argc == 3 ? argv[2] : strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
    rc = image_upload(c, argv[1], name, &out);
    if (rc)
        return rc;
    if (c->json)
        say_json(out);
    json_decref(out);
    return CLI_OK;
}

/* Looks at the file that a host fetches until it is there, or failed. */
static int wait_for_fetch(struct cli *c, const char *path, const char *name)
{
    char *what = must_printf("%s: the host fetches it", name);
    struct progress p;
    int rc;

    progress_begin(&p, c, what);
    for (;;) {
        json_t *o;
        const char *state, *error;

        rc = host_json(c, &(struct call){ .method = "GET", .path = path, .offer = "single files" }, JSON_OBJECT, &o);
        if (rc)
            break;
        state = field_string(o, "state");
        error = field_string(o, "error");
        if (error || (state && !strcmp(state, "failed")))
            rc = complain(c, CLI_FAILED, NULL, "%s: %s: %s", host_name(c), name, error ? error : "failed");
        if (rc || !state || !strcmp(state, "ready") || !strcmp(state, "complete")) {
            if (!rc && c->json)
                say_json(o);
            json_decref(o);
            break;
        }
        progress_show(&p, field_uint(o, "received", field_uint(o, "done", 0)), field_uint(o, "size", 0));
        json_decref(o);
        nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
    }
    progress_end(&p);
    free(what);
    return rc;
}

int verb_fetch(struct cli *c, int argc, char **argv)
{
    const char *name;
    struct answer a;
    json_t *body;
    char *path;
    int rc;

    if (argc < 2 || argc > 3 || argv[1][0] == '-')
        return verb_usage(c, argv[0]);
    name = argc == 3 ? argv[2] : strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
    if (!*name)
        return complain(c, CLI_USAGE, "sluice fetch URL NAME", "%s ends with no name for the file", argv[1]);
    body = json_pack("{s:s}", "url", argv[1]);
    if (!body)
        return complain(c, CLI_USAGE, NULL, "the URL is no UTF-8");
    path = host_path("/v1/files/", name, "");
    rc = host_call(c, &(struct call){ .method = "POST", .path = path, .offer = "fetching files by URL",
                                      .what = "asking the host to fetch", .json = body }, &a);
    json_decref(body);
    answer_free(&a);
    if (!rc)
        rc = wait_for_fetch(c, path, name);
    free(path);
    return rc;
}
