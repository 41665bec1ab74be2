/* SPDX-License-Identifier: MIT */
/* printf.c - formatted text into a buffer, without floating point. */
#include "lib/printf.h"
#include "lib/string.h"

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool left, zero, plus, space, alt;
    int width, precision;       /* precision < 0: none given */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_bytes(struct out *o, const char *s, size_t n)
{
    if (o->len + 1 < o->size)
        memcpy(o->buf + o->len, s, MIN(n, o->size - 1 - o->len));
    o->len += n;
}

static void put_padded(struct out *o, const struct spec *s, const char *prefix, const char *text,
                       size_t n, size_t zeros)
{
    size_t used = strlen(prefix) + zeros + n;
    size_t pad = s->width > 0 && (size_t)s->width > used ? (size_t)s->width - used : 0;

    for (; !s->left && pad; pad--)
        put(o, ' ');
    put_bytes(o, prefix, strlen(prefix));
    for (; zeros; zeros--)
        put(o, '0');
    put_bytes(o, text, n);
    for (; pad; pad--)
        put(o, ' ');
}

static void put_number(struct out *o, const struct spec *s, uint64_t v, unsigned int base,
                       bool upper, const char *sign)
{
    char tmp[24];
    char prefix[4] = "";
    size_t n = 0, zeros = 0;
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    if (s->alt && base == 16 && v)
        strlcpy(prefix, upper ? "0X" : "0x", sizeof(prefix));
    else
        strlcpy(prefix, sign, sizeof(prefix));
    for (uint64_t x = v; x; x /= base)
        tmp[sizeof(tmp) - ++n] = digits[x % base];
    if (!n && s->precision != 0)
        tmp[sizeof(tmp) - ++n] = '0';
    if (s->precision >= 0)
        zeros = (size_t)s->precision > n ? (size_t)s->precision - n : 0;
    else if (s->zero && !s->left && s->width > 0) {
        size_t used = n + strlen(prefix);
        zeros = (size_t)s->width > used ? (size_t)s->width - used : 0;
    }
    put_padded(o, s, prefix, tmp + sizeof(tmp) - n, n, zeros);
}

static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
    for (;; f++) {
        if (*f == '-')
            s->left = true;
        else if (*f == '0')
            s->zero = true;
        else if (*f == '+')
            s->plus = true;
        else if (*f == ' ')
            s->space = true;
        else if (*f == '#')
            s->alt = true;
        else
            break;
    }
    if (*f == '*') {
        s->width = va_arg(*ap, int);
        if (s->width < 0) {
            s->left = true;
            s->width = -s->width;
        }
        f++;
    }
    while (*f >= '0' && *f <= '9')
        s->width = s->width * 10 + (*f++ - '0');
    if (*f == '.') {
        s->precision = 0;
        f++;
        if (*f == '*') {
            s->precision = va_arg(*ap, int);
            f++;
        }
        while (*f >= '0' && *f <= '9')
            s->precision = s->precision * 10 + (*f++ - '0');
    }
    return f;
}

/* Length modifiers: -2 hh, -1 h, 0 int, 1 long and everything else of 64 bits. */
static const char *parse_length(const char *f, int *len)
{
    *len = 0;
    for (;; f++) {
        if (*f == 'l' || *f == 'z' || *f == 't' || *f == 'j')
            *len = 1;
        else if (*f == 'h')
            (*len)--;
        else
            return f;
    }
}

static uint64_t get_unsigned(va_list *ap, int len)
{
    if (len > 0)
        return va_arg(*ap, uint64_t);
    unsigned int v = va_arg(*ap, unsigned int);
    return len == 0 ? v : len == -1 ? (uint16_t)v : (uint8_t)v;
}

static int64_t get_signed(va_list *ap, int len)
{
    if (len > 0)
        return va_arg(*ap, int64_t);
    int v = va_arg(*ap, int);
    return len == 0 ? v : len == -1 ? (int16_t)v : (int8_t)v;
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = { buf, size, 0 };
    va_list ap;

    va_copy(ap, args);
    for (const char *f = fmt;; f++) {
        struct spec s = { .precision = -1 };
        const char *text = f;
        int len;

        while (*f && *f != '%')
            f++;
        put_bytes(&o, text, (size_t)(f - text));
        if (!*f)
            break;
        f = parse_length(parse_spec(f + 1, &s, &ap), &len);
        switch (*f) {
        case 'd':
        case 'i': {
            int64_t v = get_signed(&ap, len);
            put_number(&o, &s, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, false,
                       v < 0 ? "-" : s.plus ? "+" : s.space ? " " : "");
            break;
        }
        case 'u':
            put_number(&o, &s, get_unsigned(&ap, len), 10, false, "");
            break;
        case 'o':
            put_number(&o, &s, get_unsigned(&ap, len), 8, false, "");
            break;
        case 'x':
        case 'X':
            put_number(&o, &s, get_unsigned(&ap, len), 16, *f == 'X', "");
            break;
        case 'p':
            s.alt = true;
            put_number(&o, &s, (uintptr_t)va_arg(ap, void *), 16, false, "");
            break;
        case 'c': {
            char c = (char)va_arg(ap, int);
            put_padded(&o, &s, "", &c, 1, 0);
            break;
        }
        case 's': {
            const char *t = va_arg(ap, const char *);
            if (!t)
                t = "(null)";
            put_padded(&o, &s, "", t,
                       s.precision >= 0 ? strnlen(t, (size_t)s.precision) : strlen(t), 0);
            break;
        }
        case '\0':
            f--;
            break;
        default:
            put(&o, *f);
        }
    }
    va_end(ap);
    if (size)
        buf[o.len < size ? o.len : size - 1] = '\0';
    return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
