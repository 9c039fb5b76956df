/* SPDX-License-Identifier: MIT */
/* resolv_conf.c - line by line; the limits are the C library's, and 0 means the minimum, as there. */
#include "net/resolv_conf.h"

#include "base/sys.h"
#include "base/sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MOST = 30, ATTEMPTS_MOST = 5, ROOM = 16384 }; /* bytes of the file that are read */

const char resolv_conf_path[] = "/etc/resolv.conf";

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The number if the word is "name:number", otherwise `otherwise`. */
static int number_of(const char *word, size_t n, const char *name, int most, int otherwise)
{
    size_t at = strlen(name);
    int number = 0;
    if (n <= at || memcmp(word, name, at) != 0)
        return otherwise;
    for (; at < n; at++) {
        if (word[at] < '0' || word[at] > '9')
            return otherwise;
        number = number > most ? most : number * 10 + (word[at] - '0');
    }
    return number < 1 ? 1 : number > most ? most : number;
}

void resolv_conf_words(struct resolv_conf *c, const char *words, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t from = at;
        while (at < n && !is_space(words[at]))
            at++;
        c->timeout = number_of(words + from, at - from, "timeout:", TIMEOUT_MOST, c->timeout);
        c->attempts = number_of(words + from, at - from, "attempts:", ATTEMPTS_MOST, c->attempts);
        at++;
    }
}

/* "options ...", up to a comment. */
static void take_line(struct resolv_conf *c, const char *line, size_t n)
{
    static const char word[] = "options";
    size_t start = sizeof word - 1, end = 0;
    while (end < n && line[end] != '#' && line[end] != ';')
        end++;
    if (end > start && memcmp(line, word, start) == 0 && is_space(line[start]))
        resolv_conf_words(c, line + start, end - start);
}

void resolv_conf_text(struct resolv_conf *c, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        const char *lf = memchr(text + at, '\n', n - at);
        size_t end = lf ? (size_t)(lf - text) : n;
        take_line(c, text + at, end - at);
        at = end + 1;
    }
}

static int read_file(struct resolv_conf *c)
{
    size_t n = 0;
    ssize_t got = 1;
    int fd = sys_openat(AT_FDCWD, resolv_conf_path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    char *text = sys_alloc(ROOM);
    while (text && got > 0 && n < ROOM) {
        got = sys_file_read(fd, text + n, ROOM - n);
        n += got > 0 ? (size_t)got : 0;
    }
    sys_close(fd);
    if (!text)
        return -ENOMEM;
    resolv_conf_text(c, text, n);
    sys_free(text);
    return 0;
}

int resolv_conf_read(struct resolv_conf *c)
{
    const char *words = getenv("RES_OPTIONS");
    int r = read_file(c);
    if (words)
        resolv_conf_words(c, words, strlen(words));
    return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : 0;
}
