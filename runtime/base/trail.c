/* SPDX-License-Identifier: MIT */
/* trail.c - the unwinder and the linker's tables: both only read, and the unwinder's library is loaded beforehand.
 *
 * A fault in trail_try jumps out of its handler. That is sound because the functions only read. */
#define _GNU_SOURCE
#include "base/trail.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

enum { FRAMES = 40 };

static const void *interpreter; /* where its object begins */

void trail_put(struct trail_text *text, const char *string)
{
    size_t n = strlen(string), room = sizeof text->bytes - 1 - text->length;
    n = n < room ? n : room;
    memcpy(text->bytes + text->length, string, n);
    text->length += n;
    text->bytes[text->length] = '\0';
}

void trail_put_number(struct trail_text *text, uint64_t n)
{
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    trail_put(text, digits + at);
}

void trail_put_seconds(struct trail_text *text, int64_t ns)
{
    uint64_t hundredths = (uint64_t)ns / (NS_PER_SECOND / 100);
    char digits[4] = {'.', (char)('0' + hundredths / 10 % 10), (char)('0' + hundredths % 10), '\0'};
    trail_put_number(text, hundredths / 100);
    trail_put(text, digits);
    trail_put(text, " s");
}

static const void *object_of(const void *address)
{
    Dl_info info;
    return dladdr(address, &info) ? info.dli_fbase : NULL;
}

void trail_prepare(const void *inside)
{
    void *frames[2];
    interpreter = object_of(inside);
    (void)backtrace(frames, 2);
}

bool trail_is_inside(const void *address) { return interpreter && object_of(address) == interpreter; }

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Returns whether the walk goes on. */
static bool note(struct trail *trail, const void *address)
{
    Dl_info info;
    if (!dladdr(address, &info)) {
        trail->compiled = true;
        return false;
    }
    if (info.dli_fbase == interpreter)
        return false;
    if (!info.dli_sname)
        return true;
    trail->names[trail->count] = info.dli_sname;
    trail->files[trail->count] = last_part(info.dli_fname);
    return ++trail->count < (int)ARRAY_LEN(trail->names);
}

/* The unwinder aborts where what it is told of a frame makes no sense, as in code that was compiled a moment ago. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT};

static sigjmp_buf way_out;
static volatile sig_atomic_t trying;

static void faulted(int signo)
{
    (void)signo;
    trail_give_up();
}

void trail_give_up(void)
{
    if (trying)
        siglongjmp(way_out, 1);
}

bool trail_try(void (*fn)(void *), void *arg)
{
    struct sigaction careful = {.sa_handler = faulted, .sa_flags = SA_NODEFER}, before[ARRAY_LEN(faults)];
    volatile bool done = false;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        must(sigaction(faults[i], &careful, &before[i]) == 0);
    if (sigsetjmp(way_out, 1) == 0) {
        trying = 1;
        fn(arg);
        done = true;
    }
    trying = 0;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        (void)sigaction(faults[i], &before[i], NULL);
    return done;
}

static void walk(void *frames) { (void)backtrace(frames, FRAMES); }

/* First come the handler's own frames, then one that the system put beneath it, then what was interrupted. What the
 * walk has seen before it was cut short counts. */
void trail_read(struct trail *trail, const void *own)
{
    void *frames[FRAMES] = {NULL};
    const void *object = object_of(own);
    int i = 0, n = 0;
    (void)trail_try(walk, frames);
    while (n < FRAMES && frames[n])
        n++;
    memset(trail, 0, sizeof *trail);
    while (i < n && object_of(frames[i]) != object)
        i++; /* a sanitizer's */
    while (i < n && object_of(frames[i]) == object)
        i++;
    for (i++; i < n && note(trail, frames[i]); i++)
        ;
}
