/* SPDX-License-Identifier: MIT */
/* writer_notice.c - fills in a form; for the writer's thread, too. */
#define _GNU_SOURCE
#include "loop/writer_notice.h"

#include "base/clock.h"
#include "base/errors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FIELDS = 256 }; /* bytes of all fields: a time, a number, and the text of an error, which has up to 159 */

static size_t put_time(char *to, size_t room)
{
    int64_t now = clock_wall(&(struct clock){.frozen = false});
    time_t seconds = now / NS_PER_SECOND;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(to, room, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(to + n, room - n, ".%03dZ", (int)(now % NS_PER_SECOND / 1000000));
}

static size_t put_field(char *to, size_t room, char field, uint64_t lines, int error)
{
    if (field == 't')
        return put_time(to, room);
    if (field == 'n')
        return (size_t)snprintf(to, room, "%llu", (unsigned long long)lines);
    return (size_t)snprintf(to, room, "%s", error ? errors_text(error) : "the queue was full");
}

int writer_notice(struct buf *b, const char *form, uint64_t lines, int error)
{
    size_t room = strlen(form) + FIELDS, n = 0;
    char *to = buf_reserve(b, room);
    if (!to)
        return -ENOMEM;
    for (const char *at = form; *at; at++) {
        bool is_field = at[0] == '%' && at[1] && strchr("tnr", at[1]);
        at += is_field;
        if (is_field)
            n += put_field(to + n, room - n, *at, lines, error);
        else
            to[n++] = *at;
    }
    buf_commit(b, n);
    return 0;
}
