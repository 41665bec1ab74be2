/* SPDX-License-Identifier: MIT */
/* xlcfg.c - parser of xl.cfg(5)'s syntax, by recursive descent. */
#include "lib/xlcfg.h"
#include "lib/printf.h"
#include "lib/string.h"

struct lexer {
    struct xlcfg *c;
    const char *p, *end;
    unsigned int line;
    const char *line_start;
};

static unsigned int column(const struct lexer *x)
{
    return (unsigned int)(x->p - x->line_start) + 1;
}

static bool fail(struct lexer *x, const char *what)
{
    if (!x->c->error[0]) {
        x->c->error_line = x->line;
        x->c->error_column = column(x);
        strlcpy(x->c->error, what, sizeof(x->c->error));
    }
    return false;
}

static int peek(const struct lexer *x)
{
    return x->p < x->end ? (unsigned char)*x->p : -1;
}

static void advance(struct lexer *x)
{
    if (*x->p++ == '\n') {
        x->line++;
        x->line_start = x->p;
    }
}

/* Blanks and comments; with newlines too inside of brackets and between settings. */
static void skip(struct lexer *x, bool newlines)
{
    for (;;) {
        int ch = peek(x);

        if (ch == ' ' || ch == '\t' || ch == '\r' || (newlines && ch == '\n')) {
            advance(x);
        } else if (ch == '\\' && x->end - x->p > 1 && x->p[1] == '\n') {
            advance(x);
            advance(x);
        } else if (ch == '#') {
            while (peek(x) >= 0 && peek(x) != '\n')
                advance(x);
        } else {
            return;
        }
    }
}

static bool is_name_char(int ch, bool first)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' ||
           (!first && ch >= '0' && ch <= '9');
}

static struct xlcfg_node *new_node(struct lexer *x)
{
    struct xlcfg_node *n;

    if (x->c->nr_nodes == XLCFG_NODES) {
        fail(x, "too many values in one file");
        return NULL;
    }
    n = &x->c->node[x->c->nr_nodes++];
    *n = (struct xlcfg_node){ .line = x->line, .column = column(x) };
    return n;
}

static bool text_put(struct lexer *x, char ch)
{
    if (x->c->text_len == XLCFG_TEXT)
        return fail(x, "too much text in one file");
    x->c->text[x->c->text_len++] = ch;
    return true;
}

static int digit_value(int ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return 16;
}

/* After a backslash. \xHH, octal, and C's letters; anything else stands for itself. */
static bool parse_escape(struct lexer *x)
{
    static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
    int ch = peek(x);
    unsigned int v = 0;
    const char *f;

    if (ch < 0 || ch == '\n')
        return fail(x, "string without its closing quote");
    if (ch == 'x') {
        advance(x);
        for (int i = 0; i < 2; i++) {
            if (peek(x) < 0 || digit_value(peek(x)) > 15)
                return fail(x, "\\x needs two hexadecimal digits");
            v = v * 16 + (unsigned int)digit_value(peek(x));
            advance(x);
        }
    } else if (ch >= '0' && ch <= '7') {
        for (int i = 0; i < 3 && peek(x) >= '0' && peek(x) <= '7'; i++) {
            v = v * 8 + (unsigned int)digit_value(peek(x));
            advance(x);
        }
    } else {
        f = strchr(from, ch);
        v = f ? (unsigned char)to[f - from] : (unsigned int)ch;
        advance(x);
    }
    if (v == 0 || v > 255)
        return fail(x, "a string cannot hold this character");
    return text_put(x, (char)v);
}

static bool parse_string(struct lexer *x, struct xlcfg_node *n)
{
    int quote = peek(x);

    n->type = XLCFG_STRING;
    n->string = x->c->text + x->c->text_len;
    advance(x);
    while (peek(x) != quote) {
        int ch = peek(x);

        if (ch < 0 || ch == '\n')
            return fail(x, "string without its closing quote");
        if (ch == 0)
            return fail(x, "a string cannot hold this character");
        advance(x);
        if (ch == '\\' ? !parse_escape(x) : !text_put(x, (char)ch))
            return false;
    }
    advance(x);
    return text_put(x, '\0');
}

static bool parse_number(struct lexer *x, struct xlcfg_node *n)
{
    unsigned int base = 10;

    n->type = XLCFG_NUMBER;
    if (peek(x) == '0' && x->end - x->p > 1 && (x->p[1] == 'x' || x->p[1] == 'X')) {
        base = 16;
        advance(x);
        advance(x);
        if (peek(x) < 0 || digit_value(peek(x)) > 15)
            return fail(x, "0x needs hexadecimal digits");
    } else if (peek(x) == '0') {
        base = 8;
    }
    while (peek(x) >= 0 && (unsigned int)digit_value(peek(x)) < base) {
        unsigned int v = (unsigned int)digit_value(peek(x));

        if (__builtin_mul_overflow(n->number, base, &n->number) ||
            __builtin_add_overflow(n->number, v, &n->number))
            return fail(x, "number too large");
        advance(x);
    }
    if (is_name_char(peek(x), false))
        return fail(x, "a number is followed by letters or wrong digits (quotes missing?)");
    return true;
}

static bool parse_value(struct lexer *x, struct xlcfg_node *n, unsigned int depth);

static bool parse_list(struct lexer *x, struct xlcfg_node *n, unsigned int depth)
{
    struct xlcfg_node **link = &n->child;

    n->type = XLCFG_LIST;
    if (depth == XLCFG_DEPTH)
        return fail(x, "too many brackets in brackets");
    advance(x);
    for (;;) {
        struct xlcfg_node *e;

        skip(x, true);
        if (peek(x) == ']')
            break;
        e = new_node(x);
        if (!e || !parse_value(x, e, depth + 1))
            return false;
        *link = e;
        link = &e->next;
        skip(x, true);
        if (peek(x) == ',')
            advance(x);
        else if (peek(x) != ']')
            return fail(x, "expected ',' or ']' in a list");
    }
    advance(x);
    return true;
}

static bool parse_value(struct lexer *x, struct xlcfg_node *n, unsigned int depth)
{
    int ch = peek(x);

    n->line = x->line;
    n->column = column(x);
    if (ch == '"' || ch == '\'')
        return parse_string(x, n);
    if (ch == '[')
        return parse_list(x, n, depth);
    if (ch >= '0' && ch <= '9')
        return parse_number(x, n);
    if (is_name_char(ch, true))
        return fail(x, "expected a value: text needs quotes");
    return fail(x, "expected a value: \"text\", a number or [ a list ]");
}

/* The setting of that name that stands already, for a second one to replace or extend. */
static struct xlcfg_node *find(struct xlcfg *c, const char *key)
{
    for (struct xlcfg_node *n = c->first; n; n = n->next)
        if (!strcmp(n->key, key))
            return n;
    return NULL;
}

static bool append(struct lexer *x, struct xlcfg_node *to, struct xlcfg_node *n)
{
    if (to->type != n->type || n->type == XLCFG_NUMBER)
        return fail(x, "+= needs a text or list like the one that stands before");
    if (n->type == XLCFG_LIST) {
        struct xlcfg_node **link = &to->child;

        while (*link)
            link = &(*link)->next;
        *link = n->child;
        return true;
    }
    const char *a = to->string, *b = n->string;
    to->string = x->c->text + x->c->text_len;
    while (*a)
        if (!text_put(x, *a++))
            return false;
    while (*b)
        if (!text_put(x, *b++))
            return false;
    return text_put(x, '\0');
}

static bool parse_setting(struct lexer *x, struct xlcfg_node ***link)
{
    struct xlcfg_node *n = new_node(x), *old;
    bool add;

    if (!n)
        return false;
    if (!is_name_char(peek(x), true))
        return fail(x, "expected the name of a key");
    n->key_line = x->line;
    n->key_column = column(x);
    n->key = x->c->text + x->c->text_len;
    while (is_name_char(peek(x), false)) {
        if (!text_put(x, *x->p))
            return false;
        advance(x);
    }
    if (!text_put(x, '\0'))
        return false;
    skip(x, false);
    add = peek(x) == '+';
    if (add)
        advance(x);
    if (peek(x) != '=')
        return fail(x, add ? "expected '+='" : "expected '=' after the key");
    advance(x);
    skip(x, false);
    if (!parse_value(x, n, 0))
        return false;
    skip(x, false);
    if (peek(x) >= 0 && peek(x) != '\n' && peek(x) != ';')
        return fail(x, "expected the end of the line after the value");
    old = find(x->c, n->key);
    if (old && add)
        return append(x, old, n);
    if (old) {
        struct xlcfg_node *next = old->next;
        *old = *n;
        old->next = next;
        return true;
    }
    **link = n;
    *link = &n->next;
    return true;
}

bool xlcfg_parse(struct xlcfg *c, const char *text, size_t len)
{
    struct lexer x = { .c = c, .p = text, .end = text + len, .line = 1, .line_start = text };
    struct xlcfg_node **link = &c->first;

    c->first = NULL;
    c->nr_nodes = 0;
    c->text_len = 0;
    c->error[0] = '\0';
    c->error_line = c->error_column = 0;
    for (;;) {
        skip(&x, true);
        if (peek(&x) < 0)
            return true;
        if (peek(&x) == ';') {
            advance(&x);
            continue;
        }
        if (!parse_setting(&x, &link))
            return false;
    }
}

struct xlcfg_node *xlcfg_get(struct xlcfg *c, const char *key)
{
    struct xlcfg_node *n = find(c, key);

    if (n)
        n->used = true;
    return n;
}
