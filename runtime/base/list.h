/* SPDX-License-Identifier: MIT */
/* list.h - an intrusive list: the link lives in the member, so joining and leaving cannot fail.
 *
 * A link that is in no list points at itself, so leaving twice is harmless. Therefore every wake-up can
 * undo a wait without asking which queue it was in. */
#ifndef MOONPARK_LIST_H
#define MOONPARK_LIST_H

#include "base/base.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l) { l->prev = l->next = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline size_t list_length(const struct list *l)
{
    size_t n = 0;
    for (const struct list *at = l->next; at != l; at = at->next)
        n++;
    return n;
}

/* Puts `link` at the end of `head`; it must be in no list. */
static inline void list_push(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Removes `link` from the list that holds it, if any. */
static inline void list_del(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Removes and returns the first link; NULL if the list is empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    list_del(first);
    return first;
}

#endif
