/* SPDX-License-Identifier: MIT */
/* response.c - URLs and heads of HTTP responses (see response.h). */
#include "toolstack/http/response.h"
#include "lib/string.h"
#include "lib/why.h"
#include "xenabi.h"

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-';
}

static int take_path(struct url *u, const char *s, char *why)
{
    size_t n = 0;

    if (*s != '/')
        u->path[n++] = '/';
    for (; *s && *s != '#'; s++) {
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
            return why_set(why, -XEN_EINVAL, "URL: a character that must be written as %%XX");
        if (n + 1 == sizeof(u->path))
            return why_set(why, -XEN_EINVAL, "URL: longer than %zu characters", n);
        u->path[n++] = *s;
    }
    u->path[n] = '\0';
    return 0;
}

static int take_port(struct url *u, const char **s, char *why)
{
    unsigned int port = 0;

    u->port = 80;
    if (**s != ':')
        return 0;
    for (++*s; **s >= '0' && **s <= '9' && port < 65536; ++*s)
        port = port * 10 + (unsigned int)(**s - '0');
    if (!port || port > 65535)
        return why_set(why, -XEN_EINVAL, "URL: a port is a number from 1 to 65535");
    u->port = (uint16_t)port;
    return 0;
}

int url_parse(struct url *u, const char *text, char *why)
{
    size_t n = 0;
    int rc;

    if (strncmp(text, "http://", 7))
        return why_set(why, -XEN_EINVAL, "URL: only http:// is fetched");
    for (text += 7; host_char(*text); text++) {
        if (n + 1 == sizeof(u->host))
            return why_set(why, -XEN_EINVAL, "URL: the host's name is too long");
        u->host[n++] = *text;
    }
    u->host[n] = '\0';
    if (!n)
        return why_set(why, -XEN_EINVAL, "URL: no host");
    rc = take_port(u, &text, why);
    if (rc)
        return rc;
    if (*text && !strchr("/?#", *text))
        return why_set(why, -XEN_EINVAL, "URL: http://HOST[:PORT]/PATH is needed");
    return take_path(u, text, why);
}

int url_resolve(struct url *u, const struct url *base, const char *location, char *why)
{
    if (location[0] != '/' || location[1] == '/')
        return url_parse(u, location, why);
    *u = *base;
    return take_path(u, location, why);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

/* Where the value of a field of that name begins; NULL: the line is another field. */
static const char *value_of(const char *line, size_t n, const char *name, size_t *len)
{
    size_t k = 0;

    for (; name[k]; k++)
        if (k >= n || lower(line[k]) != name[k])
            return NULL;
    if (k >= n || line[k++] != ':')
        return NULL;
    while (k < n && (line[k] == ' ' || line[k] == '\t'))
        k++;
    while (n > k && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    *len = n - k;
    return line + k;
}

static int take_length(struct http_response *r, const char *s, size_t n)
{
    uint64_t v = 0;

    if (!n || n > 15)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    if (r->has_length && r->content_length != v)
        return -1;
    r->has_length = true;
    r->content_length = v;
    return 0;
}

static int take_field(struct http_response *r, const char *line, size_t n)
{
    const char *v;
    size_t len;

    v = value_of(line, n, "content-length", &len);
    if (v)
        return take_length(r, v, len);
    if (value_of(line, n, "transfer-encoding", &len) || value_of(line, n, "content-encoding", &len))
        r->has_encoding = true;
    v = value_of(line, n, "location", &len);
    if (v && len < sizeof(r->location) && !memchr(v, '\0', len)) {
        memcpy(r->location, v, len);
        r->location[len] = '\0';
    }
    return 0;
}

static bool take_status(struct http_response *r, const char *s, size_t n)
{
    if (n < 12 || memcmp(s, "HTTP/1.", 7) || s[8] != ' ')
        return false;
    for (size_t i = 9; i < 12; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        r->status = r->status * 10 + s[i] - '0';
    }
    return true;
}

int http_parse_response(const char *buf, size_t len, struct http_response *r)
{
    size_t at = 0;

    memset(r, 0, sizeof(*r));
    for (unsigned int line = 0;; line++) {
        const char *eol = memchr(buf + at, '\n', len - at);
        size_t n;

        if (!eol)
            return len >= RESPONSE_HEAD_MAX ? -1 : 0;
        n = (size_t)(eol - buf) - at;
        if (n && buf[at + n - 1] == '\r')
            n--;
        if (line && !n)
            return (int)(eol - buf) + 1;
        if (line ? take_field(r, buf + at, n) : !take_status(r, buf, n))
            return -1;
        at = (size_t)(eol - buf) + 1;
    }
}
