/* SPDX-License-Identifier: MIT */
/* http_form.c - one pass: memchr from separator to separator. */
#include "http/http_form.h"

#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ptrdiff_t http_form_decode(char *to, const char *bytes, size_t n, bool plus)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            if (n - i < 3 || hex(bytes[i + 1]) < 0 || hex(bytes[i + 2]) < 0)
                return -1;
            c = (char)(hex(bytes[i + 1]) * 16 + hex(bytes[i + 2]));
            i += 2;
        }
        to[out++] = c;
    }
    return (ptrdiff_t)out;
}

bool http_form_is_encoded(struct http_text text, bool plus)
{
    return text.length > 0 && (memchr(text.at, '%', text.length) || (plus && memchr(text.at, '+', text.length)));
}

/* Takes the part from *at to the separator or the end, and moves *at past that. Returns false if nothing is left. */
static bool next_part(struct http_text all, char separator, size_t *at, struct http_text *part)
{
    if (*at >= all.length)
        return false;
    const char *from = all.at + *at, *end = memchr(from, separator, all.length - *at);
    *part = (struct http_text){from, end ? (size_t)(end - from) : all.length - *at};
    *at += part->length + 1;
    return true;
}

bool http_form_next(struct http_text form, size_t *at, struct http_pair *p)
{
    struct http_text part;
    do
        if (!next_part(form, '&', at, &part))
            return false;
    while (part.length == 0);
    const char *sign = memchr(part.at, '=', part.length);
    size_t name = sign ? (size_t)(sign - part.at) : part.length;
    p->name = (struct http_text){part.at, name};
    p->value = (struct http_text){part.at + part.length, 0};
    if (sign)
        p->value = (struct http_text){sign + 1, part.length - name - 1};
    return true;
}

/* ---- cookies ---- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static struct http_text trim(struct http_text t)
{
    for (; t.length > 0 && is_blank(t.at[0]); t.length--)
        t.at++;
    while (t.length > 0 && is_blank(t.at[t.length - 1]))
        t.length--;
    return t;
}

static bool has_blank(struct http_text t)
{
    for (size_t i = 0; i < t.length; i++)
        if (is_blank(t.at[i]))
            return true;
    return false;
}

static bool is_cookie(struct http_text part, struct http_pair *p)
{
    const char *sign = part.length > 0 ? memchr(part.at, '=', part.length) : NULL;
    if (!sign)
        return false;
    size_t name = (size_t)(sign - part.at);
    p->name = trim((struct http_text){part.at, name});
    p->value = trim((struct http_text){sign + 1, part.length - name - 1});
    if (p->value.length > 1 && p->value.at[0] == '"' && p->value.at[p->value.length - 1] == '"')
        p->value = (struct http_text){p->value.at + 1, p->value.length - 2};
    return p->name.length > 0 && !has_blank(p->name);
}

bool http_form_next_cookie(struct http_text field, size_t *at, struct http_pair *p)
{
    struct http_text part;
    while (next_part(field, ';', at, &part))
        if (is_cookie(part, p))
            return true;
    return false;
}
