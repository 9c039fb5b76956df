/* SPDX-License-Identifier: MIT */
/* trail.h - where the process is, told from a signal handler: names on the machine's stack, and careful reading.
 *
 * Nothing in here allocates, once trail_prepare has run. */
#ifndef MOONPARK_TRAIL_H
#define MOONPARK_TRAIL_H

#include "base/base.h"

/* A text that grows in its place; what does not fit is cut. */
struct trail_text {
    size_t length;
    char bytes[4096];
};

void trail_put(struct trail_text *text, const char *string);
void trail_put_number(struct trail_text *text, uint64_t n);
void trail_put_seconds(struct trail_text *text, int64_t ns); /* with two digits after the point */

struct trail {
    int count;             /* of names: 0 if none is known */
    const char *names[4];  /* of C functions, innermost first; the objects that hold them keep them */
    const char *files[4];  /* the file that each was loaded from */
    bool compiled;         /* code that is in no file lies on the stack: LuaJIT has compiled it */
};

/* To be called before any other function, outside of handlers: loads what walks the stack. inside: an address in
 * the object that ends each walk, which is the interpreter's. Harmless twice. */
void trail_prepare(const void *inside);

/* Is the address in that object? */
bool trail_is_inside(const void *address);

/* What the code was doing that the running signal handler has interrupted. `own`: an address in the object of the
 * handler. Only functions that their object exports have names. */
void trail_read(struct trail *trail, const void *own);

/* Calls fn(arg), which reads memory that may be in the middle of a change, and takes no locks. Returns false if it was
 * cut short: by a fault, or by trail_give_up. Not to be nested. */
bool trail_try(void (*fn)(void *), void *arg);

/* Ends the trail_try that this signal handler has interrupted, if there is one: does not return then. */
void trail_give_up(void);

#endif
