/* SPDX-License-Identifier: MIT */
/* http_router.h - finds the route for a method and a path: all patterns form one tree of segments.
 *
 * Called by the Lua face of routers; http/router.lua reads the patterns and holds the handlers. For a path's segment, a
 * literal takes precedence over ":name", and that over "*name"; the search backtracks from a branch that ends without a
 * route for the method. Nothing is ever removed. */
#ifndef MOONPARK_HTTP_ROUTER_H
#define MOONPARK_HTTP_ROUTER_H

#include "base/buf.h"
#include "http/http_message.h"

enum http_route_kind { HTTP_ROUTE_LITERAL, HTTP_ROUTE_PARAMETER, HTTP_ROUTE_CATCH_ALL };

/* Results besides routes and -errno. No route; a path that not all readers understand in the same way; the node has a
 * route for that method already. */
enum { HTTP_ROUTE_NONE = 0, HTTP_ROUTE_BAD_PATH = -100201, HTTP_ROUTE_TAKEN = -100202 };

/* A path's segments, decoded: spans of `all`, the decoded path without its first slash, "a/b/c". */
struct http_path {
    struct http_text all;
    struct http_span *segments;
    uint32_t count, capacity;
    bool encoded; /* as it was sent */
    struct buf decoded;
};

struct http_router {
    struct http_route_node *nodes; /* 0 is the root */
    struct http_route *routes;     /* 0 is unused */
    uint32_t *literals;            /* a hash table of nodes, by parent and text; 0: empty */
    uint32_t node_count, node_capacity, route_count, route_capacity, literal_count, literal_capacity;
    struct buf text;               /* of literals and methods */
    struct http_path path;         /* the last one that was taken apart */
};

/* Allocates nothing; the first node does. */
void http_router_init(struct http_router *r);
void http_router_fini(struct http_router *r);

/* Returns the node that a segment leads to from `parent` (0: the root), made if it does not exist; or -ENOMEM. text: of
 * a literal, decoded. The caller goes no deeper than HTTP_ROUTER_DEPTH. */
enum { HTTP_ROUTER_DEPTH = 1000 };
int http_router_node(struct http_router *r, uint32_t parent, enum http_route_kind kind, struct http_text text);

/* Adds a route for a method ("*": any) that ends at the node. Returns its number, from 1 on; HTTP_ROUTE_TAKEN;
 * -ENOMEM. */
int http_router_add(struct http_router *r, uint32_t node, struct http_text method);

/* Returns the route for a method and a path as it was sent (HEAD: GET's if it has none); HTTP_ROUTE_NONE;
 * HTTP_ROUTE_BAD_PATH; -ENOMEM. */
int http_router_match(struct http_router *r, struct http_text method, struct http_text path);

/* Stores all routes that fit the path, for any method, each once. Returns how many, at most http_router_routes; or an
 * error, as http_router_match. */
int http_router_fitting(struct http_router *r, struct http_text path, uint32_t *routes);

/* How many routes there are. */
static inline uint32_t http_router_routes(const struct http_router *r)
{
    return r->route_count > 0 ? r->route_count - 1 : 0;
}

/* How many parameters a route has; and their values in a path that led to it: parts of that path if nothing in it is
 * encoded, otherwise of the router's memory, until it takes another path. Returns 0, or an error, as
 * http_router_match. */
uint32_t http_router_parameters(const struct http_router *r, uint32_t route);
int http_router_values(struct http_router *r, uint32_t route, struct http_text path, struct http_text *values);

/* The same of the path that http_router_match has just led to the route. Returns how many; 0 as well if there are more
 * than `most`, or if something in the path is encoded. */
uint32_t http_router_matched(const struct http_router *r, uint32_t route, struct http_text *values, uint32_t most);

#endif
