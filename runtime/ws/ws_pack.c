/* SPDX-License-Identifier: MIT */
/* ws_pack.c - zlib's streams, raw. Each message ends with a sync flush whose last four bytes do not travel. What comes
 * out of inflate goes into a buffer that grows by what has come out, so a bomb is found when it passes the limit. */
#include "ws/ws_pack.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { TAIL = 4, PIECE = 4096, KEPT = 4096 };
enum { BETWEEN_BLOCKS = 128 }; /* of z_stream.data_type */

static const char tail[TAIL] = {0, 0, '\xff', '\xff'};

struct ws_deflate {
    z_stream z;
};

static void *take(void *unused, unsigned count, unsigned size)
{
    (void)unused;
    return sys_alloc((size_t)count * size);
}

static void give(void *unused, void *p)
{
    (void)unused;
    sys_free(p);
}

static struct ws_deflate *stream_new(void)
{
    struct ws_deflate *d = sys_alloc(sizeof *d);
    if (d) {
        d->z.zalloc = take;
        d->z.zfree = give;
    }
    return d;
}

struct ws_pack *ws_pack_new(const struct ws_packing *agreed)
{
    struct ws_pack *p = sys_alloc(sizeof *p);
    if (p)
        p->agreed = *agreed;
    return p;
}

static void end_out(struct ws_pack *p)
{
    if (p->out)
        (void)deflateEnd(&p->out->z);
    sys_free(p->out);
    p->out = NULL;
    p->skewed = false; /* what begins anew refers to nothing */
}

static void end_in(struct ws_pack *p)
{
    if (p->in)
        (void)inflateEnd(&p->in->z);
    sys_free(p->in);
    p->in = NULL;
}

void ws_pack_free(struct ws_pack *p)
{
    end_out(p);
    end_in(p);
    buf_fini(&p->packed);
    buf_fini(&p->message);
    sys_free(p);
}

/* ---- compressing ---- */

static int begin_out(struct ws_pack *p)
{
    const struct ws_packing *a = &p->agreed;
    if (p->out)
        return 0;
    p->out = stream_new();
    if (p->out && deflateInit2(&p->out->z, a->level, Z_DEFLATED, -a->out_bits, a->memory, Z_DEFAULT_STRATEGY) != Z_OK) {
        sys_free(p->out);
        p->out = NULL;
    }
    return p->out ? 0 : -ENOMEM;
}

/* Gives all input, and flushes it. */
static int deflate_all(struct ws_pack *p, const char *bytes, size_t n)
{
    z_stream *z = &p->out->z;
    z->next_in = (Bytef *)bytes;
    do {
        size_t part = base_min(n, UINT32_MAX), room;
        z->avail_in = (uInt)part;
        n -= part;
        do {
            char *to = buf_reserve(&p->packed, base_min(z->avail_in / 2, PIECE * 16) + 64);
            if (!to)
                return -ENOMEM;
            room = base_min(buf_room(&p->packed), UINT32_MAX);
            z->next_out = (Bytef *)to;
            z->avail_out = (uInt)room;
            (void)deflate(z, n > 0 ? Z_NO_FLUSH : Z_SYNC_FLUSH);
            buf_commit(&p->packed, room - z->avail_out);
        } while (z->avail_out == 0);
    } while (n > 0);
    return 0;
}

int ws_pack_deflate(struct ws_pack *p, const char *bytes, size_t n, bool last)
{
    p->packed.start = p->packed.end = 0;
    if (p->skewed && !p->open)
        end_out(p);
    int r = begin_out(p);
    r = r < 0 ? r : deflate_all(p, bytes, n);
    if (r < 0) {
        p->skewed = true;
        return r;
    }
    p->open = !last;
    if (last) { /* a message of nothing that follows a flush adds no second one: RFC 7692 7.2.3.6 */
        size_t held = buf_len(&p->packed);
        if (held >= TAIL)
            p->packed.end -= TAIL;
        else
            r = buf_append(&p->packed, "", 1);
    }
    return r;
}

void ws_pack_sent(struct ws_pack *p, bool was_sent)
{
    if (!was_sent) {
        p->skewed = true;
        p->open = false;
    }
    p->packed.start = p->packed.end = 0;
    if (p->packed.capacity > KEPT || p->agreed.out_fresh)
        buf_fini(&p->packed);
    if (p->agreed.out_fresh && !p->open)
        end_out(p);
}

/* ---- inflating ---- */

static int begin_in(struct ws_pack *p)
{
    if (p->in)
        return 0;
    p->in = stream_new();
    if (p->in && inflateInit2(&p->in->z, -p->agreed.in_bits) != Z_OK) {
        sys_free(p->in);
        p->in = NULL;
    }
    return p->in ? 0 : -ENOMEM;
}

/* One call of inflate. Returns 0: go on; 1: all input was used; or why not. */
static int inflate_some(struct ws_pack *p, uint64_t most)
{
    z_stream *z = &p->in->z;
    size_t held = buf_len(&p->message);
    char *to = buf_reserve(&p->message, base_min(held + 256, PIECE * 16));
    if (!to)
        return -ENOMEM;
    size_t room = base_min(buf_room(&p->message), UINT32_MAX);
    if (room > most - held)
        room = (size_t)(most - held) + 1; /* a byte too many shows that it is too long */
    room = base_min(room, buf_room(&p->message));
    z->next_out = (Bytef *)to;
    z->avail_out = (uInt)room;
    int r = inflate(z, Z_SYNC_FLUSH);
    buf_commit(&p->message, room - z->avail_out);
    if (buf_len(&p->message) > most)
        return ERR_TOO_LONG;
    if (r == Z_STREAM_END) /* a block said that it is the last (7.2.3.5); what follows may refer to what came before */
        r = inflateResetKeep(z);
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    if (r != Z_OK && r != Z_BUF_ERROR)
        return ERR_MALFORMED;
    return z->avail_in == 0 && z->avail_out > 0;
}

int ws_pack_inflate(struct ws_pack *p, const char *bytes, size_t n, uint64_t most)
{
    int r = begin_in(p);
    if (r < 0)
        return r;
    must(n <= UINT32_MAX);
    p->in->z.next_in = (Bytef *)bytes;
    p->in->z.avail_in = (uInt)n;
    do
        r = inflate_some(p, most);
    while (r == 0);
    return r < 0 ? r : 0;
}

int ws_pack_end(struct ws_pack *p, uint64_t most)
{
    int r = ws_pack_inflate(p, tail, TAIL, most);
    if (r == 0 && !(p->in->z.data_type & BETWEEN_BLOCKS))
        r = ERR_MALFORMED; /* it ended within a block */
    if (r == 0 && p->agreed.in_fresh)
        end_in(p);
    return r;
}

void ws_pack_handed(struct ws_pack *p)
{
    p->message.start = p->message.end = 0;
    if (p->message.capacity > KEPT || p->agreed.in_fresh)
        buf_fini(&p->message);
}
