/* SPDX-License-Identifier: MIT */
/* table.c - rows of text set in columns (see table.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/cli/table.h"
#include "toolstack/cli/text.h"

#define GAP 2               /* blanks between columns */

void table_begin(struct table *t, const struct table_column *column, unsigned int columns)
{
    *t = (struct table){ .column = column, .columns = MIN(columns, (unsigned int)TABLE_COLUMNS) };
}

void table_row(struct table *t, const char *const *text)
{
    t->cell = must(realloc(t->cell, sizeof(*t->cell) * t->columns * (t->rows + 1u)));
    for (unsigned int i = 0; i < t->columns; i++)
        t->cell[t->rows * t->columns + i] = clean(text[i] ? text[i] : "-");
    t->rows++;
}

void table_end(struct table *t)
{
    for (unsigned int i = 0; i < t->rows * t->columns; i++)
        free(t->cell[i]);
    free(t->cell);
    *t = (struct table){ 0 };
}

unsigned int table_width(const char *s)
{
    unsigned int n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static unsigned int total(const struct table *t, const unsigned int *w)
{
    unsigned int sum = 0, shown = 0;

    for (unsigned int i = 0; i < t->columns; i++) {
        sum += w[i];
        shown += w[i] > 0;
    }
    return sum + (shown ? (shown - 1) * GAP : 0);
}

/* Widths of the columns, 0 = left out. */
static void fit(const struct table *t, unsigned int width, unsigned int *w)
{
    for (unsigned int i = 0; i < t->columns; i++) {
        w[i] = MAX(table_width(t->column[i].title), 1u);
        for (unsigned int r = 0; r < t->rows; r++)
            w[i] = MAX(w[i], table_width(t->cell[r * t->columns + i]));
    }
    while (width && total(t, w) > width) {
        int pick = -1;

        for (unsigned int i = 0; i < t->columns; i++)
            if (t->column[i].least && w[i] > t->column[i].least && (pick < 0 || w[i] > w[pick]))
                pick = (int)i;
        if (pick >= 0) {
            w[pick]--;
            continue;
        }
        for (unsigned int i = 0; i < t->columns; i++)
            if (w[i] && t->column[i].drop && (pick < 0 || t->column[i].drop > t->column[pick].drop))
                pick = (int)i;
        if (pick < 0)
            return;
        w[pick] = 0;
    }
}

static void put_cell(FILE *f, const char *s, const struct table_column *c, unsigned int w, bool last,
                     const char *mark)
{
    unsigned int have = table_width(s), pad;

    if (have > w) {
        for (unsigned int n = 0; n + 1 < w; n++)
            do
                fputc(*s++, f);
            while (((unsigned char)*s & 0xc0) == 0x80);
        fputs(mark, f);
        have = w;
    } else if (c->right) {
        fprintf(f, "%*s%s", (int)(w - have), "", s);
        have = w;
    } else {
        fputs(s, f);
    }
    pad = last ? 0 : w - have + GAP;
    fprintf(f, "%*s", (int)pad, "");
}

static void put_line(FILE *f, const struct table *t, const unsigned int *w, char *const *cell,
                     const char *mark)
{
    unsigned int last = 0;

    for (unsigned int i = 0; i < t->columns; i++)
        if (w[i])
            last = i;
    for (unsigned int i = 0; i < t->columns; i++)
        if (w[i])
            put_cell(f, cell ? cell[i] : t->column[i].title, &t->column[i], w[i], i == last, mark);
}

char *table_text(const struct table *t, unsigned int width, const char *bold, const char *plain,
                 const char *mark)
{
    unsigned int w[TABLE_COLUMNS];
    char *text = NULL;
    size_t size = 0;
    FILE *f = must(open_memstream(&text, &size));

    fit(t, width, w);
    fputs(bold, f);
    put_line(f, t, w, NULL, mark);
    fprintf(f, "%s\n", plain);
    for (unsigned int r = 0; r < t->rows; r++) {
        put_line(f, t, w, &t->cell[r * t->columns], mark);
        fputc('\n', f);
    }
    fclose(f);
    return must(text);
}
