/* SPDX-License-Identifier: MIT */
/*
 * json.h - JSON (RFC 8259), read and written. Pure; memory comes from the caller.
 *
 * Reading: one pass over the text into a fixed pool of values; strings are unescaped into a fixed
 * buffer. Strict: no comments, no trailing commas, valid UTF-8, no NUL in strings. Numbers are
 * kept as integers; fractions and exponents are accepted only when nothing reads their value.
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include "compiler.h"

#define JSON_VALUES 128
#define JSON_DEPTH  16

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    const char *key;            /* member of an object; else NULL */
    const char *string;         /* NUL-terminated */
    int64_t integer;            /* JSON_INT, JSON_BOOL */
    struct json_value *child;   /* first element or member */
    struct json_value *next;
};

struct json {
    struct json_value value[JSON_VALUES];
    unsigned int nr_values;
    char *text;                 /* the caller's, at least as long as the input plus JSON_VALUES */
    size_t text_size, text_len;
    size_t error_at;            /* byte offset in the input */
    const char *error;
};

/* The top value, or NULL with error and error_at set. text: buffer for strings. */
struct json_value *json_parse(struct json *j, const char *in, size_t len, char *text,
                              size_t text_size);
/* The member of that name (the last of several); NULL when there is none or v is no object. */
struct json_value *json_member(struct json_value *v, const char *key);

/*
 * Writing: appends to buf. Past the end nothing is stored but len goes on counting, so a caller
 * can see how much room the whole needs. Commas are put by itself.
 */
struct json_out {
    char *buf;
    size_t size, len;
    bool comma;                 /* an element stands before on this level */
};

void json_begin(struct json_out *o, char *buf, size_t size);
void json_open(struct json_out *o, const char *key, char bracket);      /* '{' or '[' */
void json_close(struct json_out *o, char bracket);                      /* '}' or ']' */
/* key is NULL inside arrays. */
void json_string(struct json_out *o, const char *key, const char *s);
void json_uint(struct json_out *o, const char *key, uint64_t v);
/* ns nanoseconds as a number of seconds with all its digits: 1.000000001 */
void json_seconds(struct json_out *o, const char *key, uint64_t ns);
void json_bool(struct json_out *o, const char *key, bool v);
void json_null(struct json_out *o, const char *key);

#endif
