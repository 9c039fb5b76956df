/* SPDX-License-Identifier: MIT */
/* http_router.h - from a method and a path to a route: all patterns as one tree of segments.
 *
 * Called by the Lua face of routers, which reads patterns and holds the handlers. In a path, a literal segment goes
 * before ":name", and that before "*name"; a branch that ends without a route for the method is left again. Nothing is
 * ever removed. */
#ifndef MOONPARK_HTTP_ROUTER_H
#define MOONPARK_HTTP_ROUTER_H

#include "base/buf.h"
#include "http/http_message.h"

enum http_route_kind { HTTP_ROUTE_LITERAL, HTTP_ROUTE_PARAMETER, HTTP_ROUTE_CATCH_ALL };

/* Below 0 are errno's. No path leads to them; the path is none that all readers understand in the same way. */
enum { HTTP_ROUTE_NONE = 0, HTTP_ROUTE_BAD_PATH = -100201, HTTP_ROUTE_TAKEN = -100202 };

/* A path's segments, decoded; `all` is what is left of it once it is: "a/b/c". */
struct http_path {
    struct http_text all;
    struct http_span *segments;
    uint32_t count, capacity;
    struct buf decoded;
};

struct http_router {
    struct http_route_node *nodes; /* 0 is the root */
    struct http_route *routes;     /* 0 is unused */
    uint32_t *literals;            /* a hash table of nodes, by parent and text; 0: empty */
    uint32_t node_count, node_capacity, route_count, route_capacity, literal_count, literal_capacity;
    struct buf text;               /* of literals and methods */
    struct http_path path;         /* the last one that was looked at */
};

/* No memory is needed before the first node. */
void http_router_init(struct http_router *r);
void http_router_fini(struct http_router *r);

/* The node that a segment leads to from `parent` (the root: 0): it is made if need be. text: of a literal, decoded. Its
 * number, or -ENOMEM. The caller goes no deeper than HTTP_ROUTER_DEPTH. */
enum { HTTP_ROUTER_DEPTH = 1000 };
int http_router_node(struct http_router *r, uint32_t parent, enum http_route_kind kind, struct http_text text);

/* Makes a route for the method ("*": for any) that ends at the node: its number, from 1 on; HTTP_ROUTE_TAKEN;
 * -ENOMEM. */
int http_router_add(struct http_router *r, uint32_t node, struct http_text method);

/* The route for a method and a path as it was sent: HEAD takes GET's if it has none. Its number; HTTP_ROUTE_NONE;
 * HTTP_ROUTE_BAD_PATH; -ENOMEM. */
int http_router_match(struct http_router *r, struct http_text method, struct http_text path);

/* All routes that the path may lead to, by whatever method, each once: how many, of at most http_router_routes; or as
 * match. */
int http_router_fitting(struct http_router *r, struct http_text path, uint32_t *routes);

/* How many routes were made. */
static inline uint32_t http_router_routes(const struct http_router *r)
{
    return r->route_count > 0 ? r->route_count - 1 : 0;
}

/* How many parameters a route has; their values in a path that has led to it, which lie in that path if nothing in it
 * is encoded, else in the router's memory until it looks at another one. 0, or as match. */
uint32_t http_router_parameters(const struct http_router *r, uint32_t route);
int http_router_values(struct http_router *r, uint32_t route, struct http_text path, struct http_text *values);

#endif
