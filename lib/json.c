/* SPDX-License-Identifier: MIT */
/* json.c - JSON, strictly read by recursive descent, and written. */
#include "lib/json.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/utf8.h"

struct reader {
    struct json *j;
    const char *start, *p, *end;
    unsigned int depth;
};

static void *fail(struct reader *r, const char *what)
{
    if (!r->j->error) {
        r->j->error = what;
        r->j->error_at = (size_t)(r->p - r->start);
    }
    return NULL;
}

static int peek(const struct reader *r)
{
    return r->p < r->end ? (unsigned char)*r->p : -1;
}

static void skip_space(struct reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n' || peek(r) == '\r')
        r->p++;
}

static bool put(struct reader *r, char c)
{
    if (r->j->text_len == r->j->text_size)
        return fail(r, "too much text") != NULL;
    r->j->text[r->j->text_len++] = c;
    return true;
}

static bool put_code_point(struct reader *r, uint32_t c)
{
    char out[4];
    size_t n = utf8_encode(c, out);

    for (size_t i = 0; i < n; i++)
        if (!put(r, out[i]))
            return false;
    return true;
}

static bool hex4(struct reader *r, uint32_t *v)
{
    *v = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        int c = peek(r);

        if (c >= '0' && c <= '9')
            *v = *v << 4 | (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            *v = *v << 4 | (uint32_t)((c | 32) - 'a' + 10);
        else
            return fail(r, "expected four hexadecimal digits") != NULL;
    }
    return true;
}

static bool unicode_escape(struct reader *r)
{
    uint32_t c, low;

    if (!hex4(r, &c))
        return false;
    if (c >= 0xd800 && c < 0xdc00) {
        if (peek(r) != '\\' || r->end - r->p < 2 || r->p[1] != 'u')
            return fail(r, "half of a surrogate pair") != NULL;
        r->p += 2;
        if (!hex4(r, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(r, "half of a surrogate pair") != NULL;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return fail(r, "half of a surrogate pair") != NULL;
    }
    if (c == 0)
        return fail(r, "a string cannot hold \\u0000") != NULL;
    return put_code_point(r, c);
}

static bool escape(struct reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = peek(r);
    const char *f;

    if (c == 'u') {
        r->p++;
        return unicode_escape(r);
    }
    f = c > 0 ? strchr(from, c) : NULL;
    if (!f)
        return fail(r, "unknown escape") != NULL;
    r->p++;
    return put(r, to[f - from]);
}

/* At the opening quote. */
static const char *parse_string(struct reader *r)
{
    size_t at = r->j->text_len;

    r->p++;
    for (;;) {
        int c = peek(r);

        if (c < 0)
            return fail(r, "string without its closing quote");
        if (c < 0x20)
            return fail(r, "control character in a string");
        if (c == '"') {
            r->p++;
            return put(r, '\0') ? r->j->text + at : NULL;
        }
        if (c == '\\') {
            r->p++;
            if (!escape(r))
                return NULL;
        } else {
            uint32_t cp;
            size_t n = utf8_decode(r->p, (size_t)(r->end - r->p), &cp);

            if (!n)
                return fail(r, "not UTF-8");
            for (; n; n--)
                if (!put(r, *r->p++))
                    return NULL;
        }
    }
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool digits(struct reader *r)
{
    if (!is_digit(peek(r)))
        return fail(r, "expected a digit") != NULL;
    while (is_digit(peek(r)))
        r->p++;
    return true;
}

static bool parse_number(struct reader *r, struct json_value *v)
{
    bool negative = peek(r) == '-', big = false;
    uint64_t n = 0;

    v->type = JSON_INT;
    if (negative)
        r->p++;
    if (!is_digit(peek(r)))
        return fail(r, "expected a value") != NULL;
    if (peek(r) == '0') {
        r->p++;
    } else {
        for (; is_digit(peek(r)); r->p++)
            big |= __builtin_mul_overflow(n, 10u, &n) ||
                   __builtin_add_overflow(n, (uint64_t)(*r->p - '0'), &n);
    }
    if (peek(r) == '.') {
        v->type = JSON_REAL;
        r->p++;
        if (!digits(r))
            return false;
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        v->type = JSON_REAL;
        r->p++;
        if (peek(r) == '+' || peek(r) == '-')
            r->p++;
        if (!digits(r))
            return false;
    }
    if (v->type == JSON_INT && (big || n > (uint64_t)INT64_MAX))
        return fail(r, "number too large") != NULL;
    v->integer = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

static bool literal(struct reader *r, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n))
        return fail(r, "expected a value") != NULL;
    r->p += n;
    return true;
}

static struct json_value *parse_value(struct reader *r);

static bool parse_members(struct reader *r, struct json_value *v, bool object)
{
    struct json_value **link = &v->child;
    char close = object ? '}' : ']';

    r->p++;
    if (++r->depth > JSON_DEPTH)
        return fail(r, "too deep") != NULL;
    skip_space(r);
    if (peek(r) == close)
        goto out;
    for (;;) {
        const char *key = NULL;
        struct json_value *e;

        skip_space(r);
        if (object) {
            if (peek(r) != '"')
                return fail(r, "expected a key in quotes") != NULL;
            key = parse_string(r);
            if (!key)
                return false;
            skip_space(r);
            if (peek(r) != ':')
                return fail(r, "expected ':'") != NULL;
            r->p++;
        }
        e = parse_value(r);
        if (!e)
            return false;
        e->key = key;
        *link = e;
        link = &e->next;
        skip_space(r);
        if (peek(r) == close)
            break;
        if (peek(r) != ',')
            return fail(r, object ? "expected ',' or '}'" : "expected ',' or ']'") != NULL;
        r->p++;
    }
out:
    r->p++;
    r->depth--;
    return true;
}

static struct json_value *parse_value(struct reader *r)
{
    struct json_value *v;
    bool ok;

    skip_space(r);
    if (r->j->nr_values == JSON_VALUES)
        return fail(r, "too many values");
    v = &r->j->value[r->j->nr_values++];
    memset(v, 0, sizeof(*v));
    switch (peek(r)) {
    case '{':
        v->type = JSON_OBJECT;
        ok = parse_members(r, v, true);
        break;
    case '[':
        v->type = JSON_ARRAY;
        ok = parse_members(r, v, false);
        break;
    case '"':
        v->type = JSON_STRING;
        v->string = parse_string(r);
        ok = v->string != NULL;
        break;
    case 't':
        v->type = JSON_BOOL;
        v->integer = 1;
        ok = literal(r, "true");
        break;
    case 'f':
        v->type = JSON_BOOL;
        ok = literal(r, "false");
        break;
    case 'n':
        v->type = JSON_NULL;
        ok = literal(r, "null");
        break;
    default:
        ok = parse_number(r, v);
    }
    return ok ? v : NULL;
}

struct json_value *json_parse(struct json *j, const char *in, size_t len, char *text,
                              size_t text_size)
{
    struct reader r = { .j = j, .start = in, .p = in, .end = in + len };
    struct json_value *v;

    j->nr_values = 0;
    j->text = text;
    j->text_size = text_size;
    j->text_len = 0;
    j->error = NULL;
    j->error_at = 0;
    v = parse_value(&r);
    if (!v)
        return NULL;
    skip_space(&r);
    return r.p == r.end ? v : fail(&r, "something follows the value");
}

struct json_value *json_member(struct json_value *v, const char *key)
{
    struct json_value *found = NULL;

    if (v && v->type == JSON_OBJECT)
        for (struct json_value *e = v->child; e; e = e->next)
            if (!strcmp(e->key, key))
                found = e;
    return found;
}

/* ------------------------------------------------------------------ writing */

static void emit(struct json_out *o, char c)
{
    if (o->len < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void emit_bytes(struct json_out *o, const char *s, size_t n)
{
    if (o->len < o->size)
        memcpy(o->buf + o->len, s, MIN(n, o->size - o->len));
    o->len += n;
}

static void emit_text(struct json_out *o, const char *s)
{
    emit_bytes(o, s, strlen(s));
}

/* How many of its first bytes stand for themselves. */
static size_t plain_bytes(const char *s)
{
    size_t n = 0;

    while (s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
        n++;
    return n;
}

static void emit_string(struct json_out *o, const char *s)
{
    emit(o, '"');
    for (;;) {
        uint32_t cp;
        size_t n = plain_bytes(s);
        char esc[8];

        emit_bytes(o, s, n);
        s += n;
        if (!*s)
            break;
        n = utf8_decode(s, strnlen(s, 4), &cp);
        if (!n) {               /* not UTF-8 (a guest's bytes): the replacement character */
            emit_text(o, "\\ufffd");
            n = 1;
        } else if (cp == '"' || cp == '\\') {
            emit(o, '\\');
            emit(o, (char)cp);
        } else if (cp < 0x20 || cp == 0x7f) {
            snprintf(esc, sizeof(esc), "\\u%04x", cp);
            emit_text(o, esc);
        } else {
            emit_bytes(o, s, n);
        }
        s += n;
    }
    emit(o, '"');
}

static void before_value(struct json_out *o, const char *key)
{
    if (o->comma)
        emit(o, ',');
    o->comma = true;
    if (key) {
        emit_string(o, key);
        emit(o, ':');
    }
}

void json_begin(struct json_out *o, char *buf, size_t size)
{
    *o = (struct json_out){ .buf = buf, .size = size };
}

void json_open(struct json_out *o, const char *key, char bracket)
{
    before_value(o, key);
    emit(o, bracket);
    o->comma = false;
}

void json_close(struct json_out *o, char bracket)
{
    emit(o, bracket);
    o->comma = true;
}

void json_string(struct json_out *o, const char *key, const char *s)
{
    before_value(o, key);
    emit_string(o, s);
}

void json_uint(struct json_out *o, const char *key, uint64_t v)
{
    char tmp[20], *p = tmp + sizeof(tmp);

    before_value(o, key);
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    emit_bytes(o, p, (size_t)(tmp + sizeof(tmp) - p));
}

void json_seconds(struct json_out *o, const char *key, uint64_t ns)
{
    char tmp[40];

    before_value(o, key);
    snprintf(tmp, sizeof(tmp), "%lu.%09lu", ns / 1000000000, ns % 1000000000);
    emit_text(o, tmp);
}

void json_bool(struct json_out *o, const char *key, bool v)
{
    before_value(o, key);
    emit_text(o, v ? "true" : "false");
}

void json_null(struct json_out *o, const char *key)
{
    before_value(o, key);
    emit_text(o, "null");
}
