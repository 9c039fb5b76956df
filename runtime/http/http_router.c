/* SPDX-License-Identifier: MIT */
/* http_router.c - nodes are numbers, and one hash table holds all literal segments of the tree: a step costs the same
 * however many routes share a prefix.
 *
 * A match only says which route it is. Its parameters are taken from the path when they are asked for, by the route's
 * own pattern, without a search. */
#include "http/http_router.h"

#include "base/sys.h"
#include "http/http_form.h"

#include <errno.h>
#include <string.h>

struct http_route_node {
    uint32_t parent;
    uint32_t at, length;          /* of a literal: its text */
    uint32_t parameter, catch_all; /* nodes */
    uint32_t routes;              /* the first route that ends here, or 0 */
    uint16_t depth;               /* segments up to here */
    uint8_t kind;
};

struct http_route {
    uint32_t node;
    uint32_t next;                /* the next route that ends at the same node, or 0 */
    uint32_t at, length;          /* its method */
};

void http_router_init(struct http_router *r) { *r = (struct http_router){0}; }

void http_router_fini(struct http_router *r)
{
    sys_free(r->nodes);
    sys_free(r->routes);
    sys_free(r->literals);
    sys_free(r->path.segments);
    buf_fini(&r->path.decoded);
    buf_fini(&r->text);
    http_router_init(r);
}

/* ---- growing ---- */

/* Makes room for one more element of `size` bytes. Returns the array, or NULL with everything as it was. */
static void *room_for(void *array, size_t size, uint32_t count, uint32_t *capacity)
{
    if (count < *capacity)
        return array;
    uint32_t wanted = *capacity > 0 ? *capacity * 2 : 16;
    void *larger = wanted > *capacity ? sys_realloc(array, wanted * size) : NULL;
    if (larger)
        *capacity = wanted;
    return larger;
}

static bool is_same(struct http_text a, struct http_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

static struct http_text text_at(const struct http_router *r, uint32_t at, uint32_t length)
{
    return (struct http_text){length > 0 ? buf_at(&r->text) + at : "", length};
}

/* Keeps a copy. Returns where it is, or -ENOMEM. */
static ptrdiff_t keep(struct http_router *r, struct http_text text)
{
    size_t at = buf_len(&r->text);
    return text.length > 0 && buf_append(&r->text, text.at, text.length) < 0 ? -ENOMEM : (ptrdiff_t)at;
}

/* ---- literals ---- */

static uint32_t hash_of(uint32_t parent, struct http_text text)
{
    uint32_t h = parent * 0x9e3779b1u ^ (uint32_t)text.length;
    for (size_t i = 0; i < text.length; i++)
        h = (h ^ (uint8_t)text.at[i]) * 0x01000193u;
    return h ^ h >> 15;
}

/* Where in the table that literal is, or where it would go. */
static uint32_t place_of(const struct http_router *r, uint32_t parent, struct http_text text)
{
    uint32_t mask = r->literal_capacity - 1, i = hash_of(parent, text) & mask;
    for (; r->literals[i] > 0; i = (i + 1) & mask) {
        const struct http_route_node *n = &r->nodes[r->literals[i]];
        if (n->parent == parent && is_same(text_at(r, n->at, n->length), text))
            return i;
    }
    return i;
}

static uint32_t literal_of(const struct http_router *r, uint32_t parent, struct http_text text)
{
    return r->literal_count > 0 ? r->literals[place_of(r, parent, text)] : 0;
}

/* Makes room for one more: at most half of the table is used. */
static int grow_literals(struct http_router *r)
{
    uint32_t capacity = r->literal_capacity > 0 ? r->literal_capacity * 2 : 32, *before = r->literals;
    if (r->literal_count * 2 < r->literal_capacity)
        return 0;
    uint32_t *larger = sys_alloc(capacity * sizeof *larger);
    if (!larger)
        return -ENOMEM;
    uint32_t old = r->literal_capacity;
    r->literals = larger;
    r->literal_capacity = capacity;
    for (uint32_t i = 0; i < old; i++) {
        const struct http_route_node *n = &r->nodes[before[i]];
        if (before[i] > 0)
            larger[place_of(r, n->parent, text_at(r, n->at, n->length))] = before[i];
    }
    sys_free(before);
    return 0;
}

/* ---- adding ---- */

/* Makes a node to which nothing leads yet. Returns its number, or -ENOMEM. */
static int make_node(struct http_router *r, uint32_t parent, enum http_route_kind kind, struct http_text text)
{
    struct http_route_node *nodes = room_for(r->nodes, sizeof *nodes, r->node_count, &r->node_capacity);
    ptrdiff_t at = nodes ? keep(r, text) : -ENOMEM;
    if (nodes)
        r->nodes = nodes;
    if (at < 0)
        return -ENOMEM;
    uint16_t depth = r->node_count > 0 ? (uint16_t)(nodes[parent].depth + 1) : 0;
    nodes[r->node_count] = (struct http_route_node){
        .parent = parent, .at = (uint32_t)at, .length = (uint32_t)text.length, .depth = depth, .kind = (uint8_t)kind};
    return (int)r->node_count++;
}

static int literal_node(struct http_router *r, uint32_t parent, struct http_text text)
{
    uint32_t found = literal_of(r, parent, text);
    if (found > 0)
        return (int)found;
    int made = grow_literals(r) < 0 ? -ENOMEM : make_node(r, parent, HTTP_ROUTE_LITERAL, text);
    if (made < 0)
        return made;
    r->literals[place_of(r, parent, text)] = (uint32_t)made;
    r->literal_count++;
    return made;
}

int http_router_node(struct http_router *r, uint32_t parent, enum http_route_kind kind, struct http_text text)
{
    struct http_text none = {"", 0};
    if (r->node_count == 0 && make_node(r, 0, HTTP_ROUTE_LITERAL, none) < 0)
        return -ENOMEM;
    must(r->nodes[parent].depth < HTTP_ROUTER_DEPTH); /* the search goes down by recursion */
    if (kind == HTTP_ROUTE_LITERAL)
        return literal_node(r, parent, text);
    bool is_catch_all = kind == HTTP_ROUTE_CATCH_ALL;
    uint32_t found = is_catch_all ? r->nodes[parent].catch_all : r->nodes[parent].parameter;
    int made = found > 0 ? (int)found : make_node(r, parent, kind, none);
    if (made > 0)
        *(is_catch_all ? &r->nodes[parent].catch_all : &r->nodes[parent].parameter) = (uint32_t)made;
    return made;
}

static uint32_t route_at(const struct http_router *r, uint32_t node, struct http_text method)
{
    uint32_t i = r->nodes[node].routes;
    while (i > 0 && !is_same(text_at(r, r->routes[i].at, r->routes[i].length), method))
        i = r->routes[i].next;
    return i;
}

int http_router_add(struct http_router *r, uint32_t node, struct http_text method)
{
    if (route_at(r, node, method) > 0)
        return HTTP_ROUTE_TAKEN;
    uint32_t number = r->route_count > 0 ? r->route_count : 1;
    struct http_route *routes = room_for(r->routes, sizeof *routes, number, &r->route_capacity);
    ptrdiff_t at = routes ? keep(r, method) : -ENOMEM;
    if (routes)
        r->routes = routes;
    if (at < 0)
        return -ENOMEM;
    routes[number] = (struct http_route){
        .node = node, .next = r->nodes[node].routes, .at = (uint32_t)at, .length = (uint32_t)method.length};
    r->nodes[node].routes = number;
    r->route_count = number + 1;
    return (int)number;
}

/* ---- a path's segments ---- */

static struct http_text segment(const struct http_path *p, uint32_t i)
{
    return (struct http_text){p->all.at + p->segments[i].at, p->segments[i].length};
}

/* From the i-th segment to the end. */
static struct http_text segments_from(const struct http_path *p, uint32_t i)
{
    return (struct http_text){p->all.at + p->segments[i].at, p->all.length - p->segments[i].at};
}

/* "." and "..": some readers take them as steps in a file tree, others as names. And a NUL byte ends a name in C. */
static bool is_ambiguous(struct http_text t)
{
    bool dots = t.length > 0 && t.length <= 2 && t.at[0] == '.' && t.at[t.length - 1] == '.';
    return dots || (t.length > 0 && memchr(t.at, '\0', t.length));
}

static int add_segment(struct http_path *p, size_t at, size_t length)
{
    struct http_span *segments = room_for(p->segments, sizeof *segments, p->count, &p->capacity);
    if (!segments)
        return -ENOMEM;
    p->segments = segments;
    segments[p->count++] = (struct http_span){(uint32_t)at, (uint32_t)length};
    return is_ambiguous(segment(p, p->count - 1)) ? HTTP_ROUTE_BAD_PATH : 0;
}

/* Decodes a segment into p->decoded, which has room, after those before it. Returns its length; -1: malformed. */
static ptrdiff_t decode_segment(struct http_path *p, const char *at, size_t n)
{
    size_t slash = p->count > 0;
    char *to = buf_reserve(&p->decoded, slash + n);
    ptrdiff_t length = http_form_decode(to + slash, at, n, false);
    if (length < 0)
        return -1;
    if (slash)
        *to = '/';
    buf_commit(&p->decoded, slash + (size_t)length);
    p->all = (struct http_text){buf_at(&p->decoded), buf_len(&p->decoded)};
    return length;
}

/* Takes apart a path, which begins with '/'. */
static int take_apart(struct http_path *p, struct http_text path)
{
    bool encoded = p->encoded = http_form_is_encoded(path, false);
    p->count = 0;
    p->decoded.start = p->decoded.end = 0;
    if (path.length == 0 || path.length > INT32_MAX || (encoded && !buf_reserve(&p->decoded, path.length)))
        return path.length == 0 ? HTTP_ROUTE_BAD_PATH : -ENOMEM;
    p->all = (struct http_text){path.at + 1, path.length - 1};
    for (size_t at = 1, end; at <= path.length; at = end + 1) {
        const char *slash = memchr(path.at + at, '/', path.length - at);
        end = slash ? (size_t)(slash - path.at) : path.length;
        ptrdiff_t length = encoded ? decode_segment(p, path.at + at, end - at) : (ptrdiff_t)(end - at);
        if (length < 0)
            return HTTP_ROUTE_BAD_PATH;
        int r = add_segment(p, encoded ? p->all.length - (size_t)length : at - 1, (size_t)length);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- matching ---- */

static uint32_t pick(const struct http_router *r, uint32_t node, struct http_text method)
{
    static const struct http_text head = {"HEAD", 4}, get = {"GET", 3}, any = {"*", 1};
    uint32_t found = route_at(r, node, method);
    if (found == 0 && is_same(method, head))
        found = route_at(r, node, get);
    return found > 0 ? found : route_at(r, node, any);
}

/* What a walk looks for: the route for a method; or, with `routes`, all routes for any method. */
struct walk {
    struct http_text method;
    uint32_t *routes;
    int count;
};

/* The route that ends the walk, or 0. */
static uint32_t arrive(const struct http_router *r, struct walk *w, uint32_t node)
{
    if (!w->routes)
        return pick(r, node, w->method);
    for (uint32_t i = r->nodes[node].routes; i > 0; i = r->routes[i].next)
        w->routes[w->count++] = i;
    return 0;
}

/* Goes on from the node with the i-th segment. The depth of the tree bounds the recursion. */
static uint32_t walk(const struct http_router *r, struct walk *w, uint32_t node, uint32_t i)
{
    const struct http_route_node *n = &r->nodes[node];
    if (i == r->path.count)
        return arrive(r, w, node);
    struct http_text text = segment(&r->path, i);
    uint32_t literal = literal_of(r, node, text);
    uint32_t found = literal > 0 ? walk(r, w, literal, i + 1) : 0;
    if (found == 0 && n->parameter > 0 && text.length > 0)
        found = walk(r, w, n->parameter, i + 1);
    if (found == 0 && n->catch_all > 0)
        found = arrive(r, w, n->catch_all);
    return found;
}

int http_router_match(struct http_router *r, struct http_text method, struct http_text path)
{
    struct walk w = {.method = method};
    int e = take_apart(&r->path, path);
    if (e < 0)
        return e;
    return r->node_count > 0 ? (int)walk(r, &w, 0, 0) : HTTP_ROUTE_NONE;
}

int http_router_fitting(struct http_router *r, struct http_text path, uint32_t *routes)
{
    struct walk w = {.routes = routes};
    int e = take_apart(&r->path, path);
    if (e == 0 && r->node_count > 0)
        (void)walk(r, &w, 0, 0);
    return e < 0 ? e : w.count;
}

/* ---- parameters ---- */

uint32_t http_router_parameters(const struct http_router *r, uint32_t route)
{
    uint32_t count = 0;
    must(route > 0 && route < r->route_count);
    for (uint32_t i = r->routes[route].node; i > 0; i = r->nodes[i].parent)
        count += r->nodes[i].kind != HTTP_ROUTE_LITERAL;
    return count;
}

/* Of the path that was taken apart last, which has led to the route. */
static void take_values(const struct http_router *r, uint32_t route, uint32_t left, struct http_text *values)
{
    const struct http_route_node *n = &r->nodes[r->routes[route].node];
    for (; n->depth > 0; n = &r->nodes[n->parent]) {
        if (n->kind == HTTP_ROUTE_PARAMETER)
            values[--left] = segment(&r->path, n->depth - 1u);
        else if (n->kind == HTTP_ROUTE_CATCH_ALL)
            values[--left] = segments_from(&r->path, n->depth - 1u);
    }
}

int http_router_values(struct http_router *r, uint32_t route, struct http_text path, struct http_text *values)
{
    uint32_t count = http_router_parameters(r, route);
    int e = take_apart(&r->path, path);
    if (e < 0 || r->path.count < r->nodes[r->routes[route].node].depth)
        return e < 0 ? e : HTTP_ROUTE_BAD_PATH; /* another path */
    take_values(r, route, count, values);
    return 0;
}

uint32_t http_router_matched(const struct http_router *r, uint32_t route, struct http_text *values, uint32_t most)
{
    uint32_t count = http_router_parameters(r, route);
    if (count > most || r->path.encoded)
        return 0;
    take_values(r, route, count, values);
    return count;
}
