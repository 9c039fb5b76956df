/* SPDX-License-Identifier: MIT */
/* chunks.c - free chunks are one chain too: taking n of them cuts off its beginning. */
#include "shared/chunks.h"

#include <string.h>

void chunks_lay_out(const struct chunks *c)
{
    for (uint32_t n = 1; n <= c->count; n++)
        *chunks_link(c, n) = n < c->count ? n + 1 : 0;
    c->free->first = c->count > 0 ? 1 : 0;
    c->free->count = c->count;
}

uint64_t chunks_needed(uint64_t bytes)
{
    return bytes <= CHUNK_FIRST ? 1 : 1 + (bytes - CHUNK_FIRST + CHUNK_NEXT - 1) / CHUNK_NEXT;
}

struct chunks_chain chunks_take(const struct chunks *c, uint32_t count)
{
    must(count > 0 && count <= c->free->count);
    struct chunks_chain chain = {.first = c->free->first, .last = c->free->first, .count = count};
    for (uint32_t i = 1; i < count; i++)
        chain.last = *chunks_link(c, chain.last);
    undo_set(c->undo, c->base, &c->free->first, *chunks_link(c, chain.last));
    undo_set(c->undo, c->base, &c->free->count, c->free->count - count);
    undo_set(c->undo, c->base, chunks_link(c, chain.last), 0);
    return chain;
}

void chunks_give(const struct chunks *c, struct chunks_chain chain)
{
    undo_set(c->undo, c->base, chunks_link(c, chain.last), c->free->first);
    undo_set(c->undo, c->base, &c->free->first, chain.first);
    undo_set(c->undo, c->base, &c->free->count, c->free->count + chain.count);
}

/* A place in a chain, and how many bytes lie there together. */
struct place {
    uint32_t chunk;
    char *at;
    size_t here;
};

static struct place place_at(const struct chunks *c, uint32_t first, size_t at)
{
    struct place p = {.chunk = first, .at = (char *)chunks_at(c, first) + CHUNK_HEAD, .here = CHUNK_FIRST};
    while (at > p.here) {
        at -= p.here;
        p.chunk = *chunks_link(c, p.chunk);
        p.at = (char *)chunks_at(c, p.chunk) + 4;
        p.here = CHUNK_NEXT;
    }
    p.at += at;
    p.here -= at;
    return p;
}

/* The next run of at most n bytes; p moves behind it. */
static size_t next_run(const struct chunks *c, struct place *p, size_t n, char **run)
{
    if (p->here == 0) {
        p->chunk = *chunks_link(c, p->chunk);
        p->at = (char *)chunks_at(c, p->chunk) + 4;
        p->here = CHUNK_NEXT;
    }
    size_t part = base_min(p->here, n);
    *run = p->at;
    p->at += part;
    p->here -= part;
    return part;
}

void chunks_read(const struct chunks *c, uint32_t first, size_t at, void *to, size_t n)
{
    struct place p = place_at(c, first, at);
    for (char *run, *end = to; n > 0;) {
        size_t part = next_run(c, &p, n, &run);
        memcpy(end, run, part);
        end += part;
        n -= part;
    }
}

void chunks_write(const struct chunks *c, uint32_t first, size_t at, const void *from, size_t n)
{
    struct place p = place_at(c, first, at);
    const char *rest = from;
    for (char *run; n > 0;) {
        size_t part = next_run(c, &p, n, &run);
        memcpy(run, rest, part);
        rest += part;
        n -= part;
    }
}

bool chunks_equal(const struct chunks *c, uint32_t first, size_t at, const void *with, size_t n)
{
    struct place p = place_at(c, first, at);
    const char *rest = with;
    for (char *run; n > 0;) {
        size_t part = next_run(c, &p, n, &run);
        if (memcmp(run, rest, part) != 0)
            return false;
        rest += part;
        n -= part;
    }
    return true;
}
