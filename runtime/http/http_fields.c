/* SPDX-License-Identifier: MIT */
/* http_fields.c - a trailer section is kept as HTTP/1 has it, and parsed again when a script asks for it: hardly any
 * does. */
#include "http/http_fields.h"

bool http_fields_next(const struct buf *trailer, size_t *at, struct http_field *f)
{
    while (*at < buf_len(trailer)) {
        must(h1_parse_trailer(f, buf_at(trailer), buf_len(trailer), at) > 0); /* it was parsed when it came */
        if (f->name.length > 0)
            return true;
    }
    return false;
}

const char *http_fields_framing(const struct http_body *body)
{
    static const char *const words[] = {[HTTP_NO_BODY] = "none", [HTTP_BY_LENGTH] = "length",
                                        [HTTP_BY_CHUNKS] = "chunks", [HTTP_BY_END] = "end"};
    return words[body->framing];
}

bool http_fields_all_read(const struct http_body *body) { return body->over && !body->held; }
