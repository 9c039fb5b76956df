/* SPDX-License-Identifier: MIT */
/* h1_frame.c - reading: one function for each framing, picked by a table. Writing: numbers are formatted by hand,
 * because printf would cost more than everything else here. */
#include "http/h1_frame.h"

#include "http/http_status.h"

#include <errno.h>
#include <string.h>

/* ---- a body that is read ---- */

static void begin_body(struct http_body *b, enum http_framing framing, int64_t left)
{
    *b = (struct http_body){.framing = (uint8_t)framing, .left = left > 0 ? (uint64_t)left : 0};
    b->over = framing == HTTP_NO_BODY || (framing == HTTP_BY_LENGTH && left == 0);
}

/* RFC 9112 6.3: a request without Content-Length and Transfer-Encoding has none. */
void h1_request_body(struct http_body *b, const struct http_head *h)
{
    enum http_framing framing = h->content_length > 0 ? HTTP_BY_LENGTH : HTTP_NO_BODY;
    begin_body(b, h->chunked ? HTTP_BY_CHUNKS : framing, h->content_length);
}

void h1_response_body(struct http_body *b, const struct http_head *h, bool to_head)
{
    if (to_head || !http_status_has_body(h->status))
        begin_body(b, HTTP_NO_BODY, 0);
    else if (h->chunked)
        begin_body(b, HTTP_BY_CHUNKS, 0);
    else if (h->content_length >= 0)
        begin_body(b, HTTP_BY_LENGTH, h->content_length);
    else
        begin_body(b, HTTP_BY_END, 0);
    b->folds = true;
}

static int take_length(struct http_body *b, const char *bytes, size_t n, size_t *used, struct http_span *data)
{
    (void)bytes;
    *used = base_min(base_min(n, b->left), INT32_MAX);
    *data = (struct http_span){.at = 0, .length = (uint32_t)*used};
    b->left -= *used;
    b->over = b->left == 0;
    return HTTP_BYTES;
}

static int take_chunks(struct http_body *b, const char *bytes, size_t n, size_t *used, struct http_span *data)
{
    int got = h1_parse_chunk(&b->chunks, bytes, n, used, data);
    if (got == HTTP_TRAILERS)
        b->trailing = true;
    return got < 0 ? got : got == HTTP_MORE ? HTTP_NEED : got == HTTP_DATA ? HTTP_BYTES : HTTP_TRAILER_NEXT;
}

static int take_end(struct http_body *b, const char *bytes, size_t n, size_t *used, struct http_span *data)
{
    (void)b, (void)bytes;
    *used = base_min(n, INT32_MAX);
    *data = (struct http_span){.at = 0, .length = (uint32_t)*used};
    return HTTP_BYTES;
}

static int (*const takers[])(struct http_body *, const char *, size_t, size_t *, struct http_span *) = {
    [HTTP_BY_LENGTH] = take_length,
    [HTTP_BY_CHUNKS] = take_chunks,
    [HTTP_BY_END] = take_end,
};

int h1_take(struct http_body *b, const char *bytes, size_t n, size_t *used, struct http_span *data)
{
    *used = 0;
    if (b->over)
        return HTTP_OVER;
    if (b->trailing)
        return HTTP_TRAILER_NEXT;
    if (n == 0)
        return HTTP_NEED;
    int step = takers[b->framing](b, bytes, n, used, data);
    if (step == HTTP_BYTES)
        b->total += data->length;
    return step;
}

void h1_trailer_taken(struct http_body *b)
{
    b->trailing = false;
    b->over = true;
}

/* ---- a message that is written ---- */

void h1_peer_of(struct http_peer *p, const struct http_head *h, const char *bytes)
{
    p->head = h->method.length == 4 && memcmp(bytes + h->method.at, "HEAD", 4) == 0;
    p->connect = h->form == HTTP_AUTHORITY;
    p->old = h->minor == 0;
    p->keep_alive = p->old ? h->keep_alive && !h->close : !h->close;
}

static char *put(char *to, const char *bytes, size_t n)
{
    memcpy(to, bytes, n);
    return to + n;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *put_reversed(char *to, const char *digits, size_t n)
{
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

static char *put_decimal(char *to, uint64_t number)
{
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    return put_reversed(to, digits, n);
}

static char *put_hex(char *to, uint64_t number)
{
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = "0123456789abcdef"[number % 16];
    while (number /= 16);
    return put_reversed(to, digits, n);
}

static char *put_status_line(char *at, int status)
{
    if (status == 200)
        return PUT(at, "HTTP/1.1 200 OK\r\n");
    const char *reason = http_status_reason(status);
    at = PUT(at, "HTTP/1.1 ");
    at = put_decimal(at, (uint64_t)status);
    at = PUT(at, " ");
    at = put(at, reason, strlen(reason));
    return PUT(at, "\r\n");
}

/* RFC 9112 6.3, from the writer's side. RFC 9110 15.3.6: a 205 may announce an empty body, but not have one.
 * 9.3.6: what follows the head of a tunnel is not the server's. */
static enum http_framing pick_framing(const struct http_peer *p, const struct http_out *o, int status, int64_t length)
{
    if (!http_status_has_body(status) || status == 205 || o->tunnel)
        return HTTP_NO_BODY;
    if (length >= 0)
        return HTTP_BY_LENGTH;
    return p->old ? HTTP_BY_END : HTTP_BY_CHUNKS;
}

enum { HEAD_ROOM = 256 }; /* the longest reason and all of our own fields */

static char *put_own_fields(char *at, const struct http_out *o, const struct http_peer *p, const char *date)
{
    if (date) {
        at = PUT(at, "Date: ");
        at = put(at, date, 29);
        at = PUT(at, "\r\n");
    }
    if (o->framing == HTTP_BY_LENGTH) {
        at = PUT(at, "Content-Length: ");
        at = put_decimal(at, o->left);
        at = PUT(at, "\r\n");
    } else if (o->framing == HTTP_BY_CHUNKS) {
        at = PUT(at, "Transfer-Encoding: chunked\r\n");
    } else if (o->status == 205 && !o->tunnel) {
        at = PUT(at, "Content-Length: 0\r\n");
    }
    if (o->tunnel)
        return at;
    if (!o->keep_alive)
        return PUT(at, "Connection: close\r\n");
    return p->old ? PUT(at, "Connection: keep-alive\r\n") : at;
}

int h1_begin_response(struct http_out *o, const struct http_peer *p, struct buf *out, int status, int64_t length,
                        const char *date)
{
    char *from = buf_reserve(out, HEAD_ROOM), *at = from;
    if (!from)
        return -ENOMEM;
    o->tunnel = p->connect && status >= 200 && status <= 299;
    o->framing = (uint8_t)pick_framing(p, o, status, length);
    o->left = length > 0 ? (uint64_t)length : 0;
    o->status = (uint16_t)status;
    o->total = 0;
    o->keep_alive = p->keep_alive && o->framing != HTTP_BY_END && !o->tunnel;
    o->mute = p->head || o->framing == HTTP_NO_BODY;
    o->phase = HTTP_IN_BODY;
    at = put_status_line(at, status);
    at = put_own_fields(at, o, p, date);
    buf_commit(out, (size_t)(at - from));
    return 0;
}

int h1_add_field(struct buf *out, const char *name, size_t name_length, const char *value, size_t n)
{
    char *at = buf_reserve(out, name_length + n + 4);
    if (!at)
        return -ENOMEM;
    at = put(at, name, name_length);
    at = PUT(at, ": ");
    at = put(at, value, n);
    (void)PUT(at, "\r\n");
    buf_commit(out, name_length + n + 4);
    return 0;
}

int h1_end_head(struct buf *out) { return buf_append(out, "\r\n", 2); }

int h1_before_data(struct http_out *o, struct buf *out, size_t n, bool *muted)
{
    *muted = o->mute || n == 0;
    if (o->framing == HTTP_BY_LENGTH && n > o->left)
        return HTTP_TOO_LONG;
    o->left -= o->framing == HTTP_BY_LENGTH ? n : 0;
    if (*muted)
        return 0;
    if (o->framing != HTTP_BY_CHUNKS) {
        o->total += n;
        return 0;
    }
    char *from = buf_reserve(out, 24), *at = from;
    if (!from)
        return -ENOMEM;
    at = put_hex(at, n);
    at = PUT(at, "\r\n");
    buf_commit(out, (size_t)(at - from));
    o->total += n;
    return 0;
}

const char *h1_after_data(const struct http_out *o, size_t n)
{
    return o->framing == HTTP_BY_CHUNKS && !o->mute && n > 0 ? "\r\n" : "";
}

int h1_finish(struct http_out *o, struct buf *out)
{
    bool owed = o->framing == HTTP_BY_LENGTH && o->left > 0 && !o->mute;
    if (o->framing == HTTP_BY_CHUNKS && !o->mute && buf_append(out, "0\r\n\r\n", 5) < 0)
        return -ENOMEM;
    o->phase = HTTP_SENT;
    o->keep_alive &= !owed;
    return owed ? HTTP_TOO_SHORT : 0;
}

/* Only a CONNECT is answered by 405 here: the methods are those of the server as a whole. */
int h1_put_answer(struct buf *out, int status, bool to_head, const char *date)
{
    static const char methods[] = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";
    struct http_peer peer = {.head = to_head};
    struct http_out framing = {.phase = HTTP_UNSENT};
    const char *reason = http_status_reason(status);
    int r = h1_begin_response(&framing, &peer, out, status, (int64_t)strlen(reason) + 1, date);
    if (r == 0)
        r = h1_add_field(out, "Content-Type", 12, "text/plain", 10);
    if (r == 0 && status == 405)
        r = h1_add_field(out, "Allow", 5, methods, sizeof methods - 1);
    if (r == 0)
        r = h1_end_head(out);
    if (framing.mute)
        return r;
    if (r == 0)
        r = buf_append(out, reason, strlen(reason));
    return r == 0 ? buf_append(out, "\n", 1) : r;
}
