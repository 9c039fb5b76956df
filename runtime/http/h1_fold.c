/* SPDX-License-Identifier: MIT */
/* h1_fold.c - the parser does not accept folds. When it stops at one, the continuation is moved up after one space, the
 * gap that this leaves at the field's end becomes white space, and the parser runs again. */
#include "http/h1_fold.h"

#include "http/h1_scan.h"

/* Where the line that begins at `at` has its CR LF; n: nowhere. A bare LF ends none, and will be refused. */
static size_t line_end(const char *bytes, size_t n, size_t at)
{
    const char *lf;
    for (size_t from = at; from < n && (lf = memchr(bytes + from, '\n', n - from)); from = (size_t)(lf - bytes) + 1)
        if (lf > bytes + at && lf[-1] == '\r')
            return (size_t)(lf - bytes) - 1;
    return n;
}

static size_t skip_blanks(const char *bytes, size_t from, size_t to)
{
    while (from < to && is_blank(bytes[from]))
        from++;
    return from;
}

static size_t trim_blanks(const char *bytes, size_t from, size_t to)
{
    while (to > from && is_blank(bytes[to - 1]))
        to--;
    return to;
}

/* The fields from `at` on, up to the empty line. `out`: where the text of the field at hand ends; `last`: its CR LF. */
static void unfold(char *bytes, size_t n, size_t at)
{
    size_t out = at, last = at, cr;
    for (; (cr = line_end(bytes, n, at)) != n && cr != at; last = cr, at = cr + 2) {
        size_t from = skip_blanks(bytes, at, cr), to = trim_blanks(bytes, from, cr);
        if (last < at && from > at) {
            bytes[out++] = ' ';
            memmove(bytes + out, bytes + from, to - from);
            out += to - from;
        } else {
            memset(bytes + out, ' ', last - out);
            out = to;
        }
    }
    memset(bytes + out, ' ', last - out);
}

/* The parser has stopped at `stop`. 1: that was a fold, and there are none any more; HTTP_INCOMPLETE: it was one, and
 * more of the section must come; else HTTP_BAD_FIELD. */
static int unfold_at(char *bytes, size_t n, size_t stop, size_t fields)
{
    if (stop == fields || !is_blank(bytes[stop]))
        return HTTP_BAD_FIELD;
    if (!h1_parse_has_end(bytes, n, 0))
        return HTTP_INCOMPLETE;
    unfold(bytes, n, fields);
    return 1;
}

int h1_fold_response(struct http_head *h, char *bytes, size_t n)
{
    int got = h1_parse_response(h, bytes, n);
    if (got != HTTP_BAD_FIELD)
        return got;
    got = unfold_at(bytes, n, h->length, line_end(bytes, n, 0) + 2);
    return got > 0 ? h1_parse_response(h, bytes, n) : got;
}

int h1_fold_trailers(char *bytes, size_t n)
{
    struct http_field f;
    size_t stop = 0;
    int got = h1_parse_trailers(bytes, n);
    if (got != HTTP_BAD_FIELD)
        return got;
    while (h1_parse_trailer(&f, bytes, n, &stop) > 0) {
    }
    got = unfold_at(bytes, n, stop, 0);
    return got > 0 ? h1_parse_trailers(bytes, n) : got;
}
