/* SPDX-License-Identifier: MIT */
/* parse.c - the head of an HTTP/1.1 request. */
#include "toolstack/http/parse.h"
#include "lib/string.h"

static int refuse(struct http_request *rq, int status, const char *why)
{
    rq->why = why;
    return -status;
}

/* End of the head: the bytes up to and with the empty line; 0: not there yet. */
static size_t find_end(const char *buf, size_t len)
{
    for (size_t i = 3; i < len; i++)
        if (buf[i] == '\n' && buf[i - 1] == '\r' && buf[i - 2] == '\n' && buf[i - 3] == '\r')
            return i + 1;
    return 0;
}

/* Characters of a token: methods and field names. */
static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

static bool equal_nocase(const char *s, size_t n, const char *word)
{
    if (n != strlen(word))
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower(s[i]) != word[i])
            return false;
    return true;
}

/* Is word one of the comma-separated values? */
static bool lists(const char *s, size_t n, const char *word)
{
    while (n) {
        size_t k = 0, end;

        while (n && (*s == ' ' || *s == '\t' || *s == ','))
            s++, n--;
        while (k < n && s[k] != ',')
            k++;
        for (end = k; end && (s[end - 1] == ' ' || s[end - 1] == '\t'); end--)
            continue;
        if (equal_nocase(s, end, word))
            return true;
        s += k;
        n -= k;
    }
    return false;
}

static enum http_method method_of(const char *s, size_t n)
{
    static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (n == strlen(names[i]) && !memcmp(s, names[i], n))
            return (enum http_method)i;
    return HTTP_OTHER;
}

static int parse_target(const char *s, size_t n, struct http_request *rq)
{
    size_t out = 0, i = 0;

    if (!n || s[0] != '/')
        return refuse(rq, 400, "the target must begin with /");
    for (; i < n && s[i] != '?'; i++) {
        int c = (unsigned char)s[i];

        if (c == '%') {
            int hi = i + 2 < n ? hex_digit(s[i + 1]) : -1, lo = hi < 0 ? -1 : hex_digit(s[i + 2]);

            if (lo < 0)
                return refuse(rq, 400, "bad percent escape in the target");
            c = hi << 4 | lo;
            i += 2;
        }
        if (c <= 0x20 || c == 0x7f)
            return refuse(rq, 400, "control character in the target");
        if (out + 1 == sizeof(rq->path))
            return refuse(rq, 414, "target too long");
        rq->path[out++] = (char)c;
    }
    rq->path[out] = '\0';
    if (i < n) {
        size_t q = n - i - 1;

        if (q >= sizeof(rq->query))
            return refuse(rq, 414, "query too long");
        memcpy(rq->query, s + i + 1, q);
        rq->query[q] = '\0';
    }
    return 0;
}

static int parse_request_line(const char *s, size_t n, struct http_request *rq)
{
    size_t m = 0, t;
    int rc;

    while (m < n && is_token(s[m]))
        m++;
    if (!m || m == n || s[m] != ' ')
        return refuse(rq, 400, "bad request line");
    rq->method = method_of(s, m);
    for (t = m + 1; t < n && s[t] != ' '; t++)
        continue;
    if (n - t != 9 || memcmp(s + t, " HTTP/1.", 8) || (s[t + 8] != '0' && s[t + 8] != '1'))
        return refuse(rq, 400, "the request line must end in HTTP/1.1");
    rq->version_1_1 = rq->keep_alive = s[t + 8] == '1';
    rc = parse_target(s + m + 1, t - m - 1, rq);
    return rc;
}

static int parse_length(const char *s, size_t n, struct http_request *rq)
{
    uint64_t v = 0;

    if (rq->has_length)
        return refuse(rq, 400, "Content-Length twice");
    if (!n || n > 15)
        return refuse(rq, n ? 413 : 400, "bad Content-Length");
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return refuse(rq, 400, "bad Content-Length");
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    rq->content_length = v;
    rq->has_length = true;
    return 0;
}

static void copy_text(char *to, size_t size, const char *s, size_t n)
{
    n = n < size ? n : 0;
    memcpy(to, s, n);
    to[n] = '\0';
}

/* "https://HOST[:PORT]"; "null" and what is no URL is of nobody's site. */
static void parse_origin(const char *s, size_t n, struct http_request *rq)
{
    const char *colon = memchr(s, ':', n);
    size_t at = colon ? (size_t)(colon - s) + 3 : n;

    rq->cross_site = true;              /* until Host says the same */
    if (at < n && s[at - 2] == '/' && s[at - 1] == '/')
        copy_text(rq->origin, sizeof(rq->origin), s + at, n - at);
}

/* "Bearer TOKEN" (RFC 6750). Other schemes and what is too long count as none. */
static int parse_authorization(const char *s, size_t n, struct http_request *rq)
{
    size_t at = 7;

    if (rq->has_authorization)
        return refuse(rq, 400, "Authorization twice");
    rq->has_authorization = true;
    if (n < at || !equal_nocase(s, 6, "bearer") || s[6] != ' ')
        return 0;
    while (at < n && s[at] == ' ')
        at++;
    if (n - at >= sizeof(rq->token))
        return 0;
    memcpy(rq->token, s + at, n - at);
    rq->token[n - at] = '\0';
    return 0;
}

static int parse_field(const char *s, size_t n, struct http_request *rq)
{
    size_t k = 0, v;

    while (k < n && is_token(s[k]))
        k++;
    if (!k || k == n || s[k] != ':')
        return refuse(rq, 400, "bad header field");
    for (v = k + 1; v < n && (s[v] == ' ' || s[v] == '\t'); v++)
        continue;
    while (n > v && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    for (size_t i = v; i < n; i++)
        if ((unsigned char)s[i] < 0x20 && s[i] != '\t')
            return refuse(rq, 400, "control character in a header field");
    if (equal_nocase(s, k, "content-length"))
        return parse_length(s + v, n - v, rq);
    if (equal_nocase(s, k, "transfer-encoding"))
        return refuse(rq, 501, "Transfer-Encoding is not supported: send Content-Length");
    if (equal_nocase(s, k, "authorization"))
        return parse_authorization(s + v, n - v, rq);
    if (equal_nocase(s, k, "host")) {
        if (rq->has_host)
            return refuse(rq, 400, "Host twice");
        rq->has_host = true;
        copy_text(rq->host, sizeof(rq->host), s + v, n - v);
    } else if (equal_nocase(s, k, "origin")) {
        parse_origin(s + v, n - v, rq);
    } else if (equal_nocase(s, k, "sec-fetch-site")) {
        rq->fetch_elsewhere |= !equal_nocase(s + v, n - v, "same-origin") &&
                               !equal_nocase(s + v, n - v, "none");
    } else if (equal_nocase(s, k, "connection")) {
        if (lists(s + v, n - v, "close"))
            rq->keep_alive = false;
        else if (lists(s + v, n - v, "keep-alive"))
            rq->keep_alive = true;
    } else if (equal_nocase(s, k, "expect")) {
        rq->expect_continue = equal_nocase(s + v, n - v, "100-continue");
    } else if (equal_nocase(s, k, "content-type")) {
        const char *semi = memchr(s + v, ';', n - v);
        rq->json = equal_nocase(s + v, semi ? (size_t)(semi - s) - v : n - v, "application/json");
    }
    return 0;
}

int http_parse_head(const char *buf, size_t len, struct http_request *rq)
{
    size_t end = find_end(buf, MIN(len, (size_t)HTTP_HEAD_MAX)), at = 0;
    bool first = true;

    memset(rq, 0, sizeof(*rq));
    if (!end) {
        if (len >= HTTP_HEAD_MAX)
            return refuse(rq, 431, "the request's head is too long");
        return 0;
    }
    while (at + 2 < end) {
        size_t n = 0;
        int rc;

        while (buf[at + n] != '\r' && buf[at + n] != '\n')
            n++;
        if (buf[at + n] != '\r' || buf[at + n + 1] != '\n')
            return refuse(rq, 400, "a line must end in CR LF");
        rc = first ? parse_request_line(buf + at, n, rq) : parse_field(buf + at, n, rq);
        if (rc)
            return rc;
        first = false;
        at += n + 2;
    }
    if (first)
        return refuse(rq, 400, "no request line");
    if (rq->cross_site && rq->origin[0] && strcmp(rq->origin, rq->host) == 0)
        rq->cross_site = false;
    rq->cross_site |= rq->fetch_elsewhere;
    return (int)end;
}

bool http_query_uint(const char *query, const char *key, uint64_t fallback, uint64_t *v)
{
    size_t k = strlen(key);

    *v = fallback;
    for (const char *s = query; s && *s; s = strchr(s, '&') ? strchr(s, '&') + 1 : NULL) {
        uint64_t n = 0;

        if (strncmp(s, key, k) || s[k] != '=')
            continue;
        s += k + 1;
        if (*s < '0' || *s > '9')
            return false;
        for (; *s >= '0' && *s <= '9'; s++)
            if (__builtin_mul_overflow(n, 10u, &n) ||
                __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
                return false;
        if (*s && *s != '&')
            return false;
        *v = n;
    }
    return true;
}

const char *http_status_text(int status)
{
    static const struct { int status; const char *text; } texts[] = {
        { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
        { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" }, { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" }, { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 503, "Service Unavailable" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}
