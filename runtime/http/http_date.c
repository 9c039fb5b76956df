/* SPDX-License-Identifier: MIT */
/* http_date.c - the names of days and months are English, whatever the locale. */
#include "http/http_date.h"

#include <stdio.h>
#include <time.h>

const char *http_date_renew(struct http_date *d, const struct clock *c)
{
    int64_t wall = clock_wall(c);
    time_t seconds = (time_t)(wall / NS_PER_SECOND);
    struct tm tm;
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    gmtime_r(&seconds, &tm);
    snprintf(d->text, sizeof d->text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
    d->due = clock_add(clock_now(c), NS_PER_SECOND - wall % NS_PER_SECOND);
    return d->text;
}
