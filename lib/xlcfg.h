/* SPDX-License-Identifier: MIT */
/*
 * xlcfg.h - the syntax of xl.cfg(5): `key = value` with strings, numbers and lists. Pure: text in,
 * a tree in the caller's struct out. What keys mean is not decided here.
 *
 *   file   := { setting ( newline | ';' ) }
 *   setting:= name ( '=' | '+=' ) value
 *   value  := 'text' | "text" | number | '[' [ value { ',' value } [ ',' ] ] ']'
 *
 * # begins a comment; inside brackets newlines do not matter; strings know C's escapes. A key
 * that is set twice has its last value, `+=` appends to a string or list.
 */
#ifndef LIB_XLCFG_H
#define LIB_XLCFG_H

#include "compiler.h"

#define XLCFG_NODES     512
#define XLCFG_TEXT      16384   /* bytes of all strings and names together */
#define XLCFG_DEPTH     4       /* brackets in brackets */

enum xlcfg_type { XLCFG_STRING, XLCFG_NUMBER, XLCFG_LIST };

struct xlcfg_node {
    enum xlcfg_type type;
    const char *key;            /* of a setting; NULL for list elements */
    unsigned int line, column;  /* of the value, from 1 */
    unsigned int key_line, key_column;
    const char *string;         /* XLCFG_STRING; NUL-terminated, holds no other NUL */
    uint64_t number;            /* XLCFG_NUMBER */
    struct xlcfg_node *child;   /* XLCFG_LIST: first element */
    struct xlcfg_node *next;    /* the next setting, or list element */
    bool used;                  /* for whoever reads the settings: to find the unknown ones */
};

/* About 50 KiB: static or allocated, not on a stack. */
struct xlcfg {
    struct xlcfg_node node[XLCFG_NODES];
    char text[XLCFG_TEXT];
    struct xlcfg_node *first;   /* settings, in the order of the file */
    unsigned int nr_nodes;
    size_t text_len;

    unsigned int error_line, error_column;
    char error[128];            /* what is wrong, without the place */
};

/* True, or false with the error fields set. text needs no NUL at its end. */
bool xlcfg_parse(struct xlcfg *c, const char *text, size_t len);

/* The setting of that name, or NULL; marks it used. */
struct xlcfg_node *xlcfg_get(struct xlcfg *c, const char *key);

#endif
