/* SPDX-License-Identifier: MIT */
/*
 * table.h - rows of text set in columns, made to fit the terminal. Pure but for malloc.
 *
 * A table that is too wide first cuts the cells of columns that may shrink (the widest first, down
 * to their least width), then leaves out columns that may be dropped, those with the highest number
 * first. Without a limit nothing is cut: what scripts read is always whole.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "compiler.h"

#define TABLE_COLUMNS 16

struct table_column {
    const char *title;
    bool right;                 /* aligned to the right: numbers */
    unsigned int least;         /* may shrink to this width; 0 = does not shrink */
    unsigned int drop;          /* may be left out, the highest first; 0 = stays */
};

struct table {
    const struct table_column *column;
    unsigned int columns, rows;
    char **cell;                /* rows times columns, owned */
};

void table_begin(struct table *t, const struct table_column *column, unsigned int columns);
/* Takes a copy of each of the columns' texts; NULL is shown as "-". */
void table_row(struct table *t, const char *const *text);
/*
 * The table as lines of text, to be freed. width 0: no limit. bold: the titles between these two
 * texts ("" when there is no colour). mark: what stands for cut text, one column wide.
 */
char *table_text(const struct table *t, unsigned int width, const char *bold, const char *plain,
                 const char *mark);
void table_end(struct table *t);

/* Columns that a text takes on a terminal: its code points. */
unsigned int table_width(const char *s);

#endif
