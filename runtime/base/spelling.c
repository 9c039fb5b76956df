/* SPDX-License-Identifier: MIT */
/* spelling.c - how many letters to insert, delete, replace or swap with the next one, by rows of a table. Long words
 * have no neighbours. */
#include "base/spelling.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 31 };

static bool is_same(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* One row of the table: to the first i letters of a, from those of b. */
static void fill_row(size_t *line, const size_t *row, const size_t *before, const char *a, size_t i, const char *b)
{
    line[0] = i;
    for (size_t j = 1; j <= strlen(b); j++) {
        size_t replaced = row[j - 1] + !is_same(a[i - 1], b[j - 1]);
        line[j] = base_min(base_min(row[j] + 1, line[j - 1] + 1), replaced);
        if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) && is_same(a[i - 2], b[j - 1]))
            line[j] = base_min(line[j], before[j - 2] + 1);
    }
}

static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1], m = strlen(a);
    for (size_t j = 0; j <= strlen(b); j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= m; i++)
        fill_row(rows[i % 3], rows[(i - 1) % 3], rows[(i + 1) % 3], a, i, b);
    return rows[m % 3][strlen(b)];
}

void spelling_begin(struct spelling *s, const char *word)
{
    *s = (struct spelling){.word = word, .least = base_min(2, strlen(word) / 3) + 1};
}

void spelling_try(struct spelling *s, const char *candidate)
{
    if (strlen(s->word) > LONGEST || strlen(candidate) > LONGEST)
        return;
    size_t d = distance(s->word, candidate);
    if (d >= s->least)
        return;
    s->least = d;
    s->nearest = candidate;
}
