/* SPDX-License-Identifier: MIT */
/* http_keeper.c - news are looked at, not queued: what was told once is told again for as long as it is so. */
#include "http/http_keeper.h"

#include "base/errors.h"

static int news(struct http_server *s, bool pauses)
{
    if (s->accept_error)
        return HTTP_ACCEPT_FAILED;
    if (!pauses && !list_empty(&s->waiting) && list_empty(&s->workers))
        return HTTP_NO_WORKER;
    return s->closing && s->count == 0 ? HTTP_DRAINED : 0;
}

static void leave_keeper(struct task *t)
{
    struct http_server *s = t->wait.object;
    if (s->keeper == t)
        s->keeper = NULL;
}

static int attempt_keep(struct task *t)
{
    bool over = t->wait.result == ERR_TIMEOUT;
    if (t->wait.result < 0 && !over)
        return t->wait.result;
    return http_keeper_wait(t->wait.object, t, over ? 0 : t->op.deadline);
}

static int push_news(struct lua_State *L, struct task *t)
{
    return ((struct http_server *)t->wait.object)->face->news(L, t);
}

static void describe_keep(const struct task *t, char *text, size_t n) { http_conn_describe(t->wait.object, text, n); }

static const struct wait_kind kind_keep = {.name = "http.keep", .attempt = attempt_keep, .push = push_news,
                                           .undo = leave_keeper, .describe = describe_keep};

int http_keeper_wait(struct http_server *s, struct task *t, int64_t pause)
{
    if (sched_canceled(t)) /* so would be the workers that it starts: they take nothing */
        return ERR_CANCELED;
    int r = news(s, pause > 0);
    if (r)
        return r;
    t->op.deadline = pause;
    r = sched_park(t, &kind_keep, s, pause, WAIT_OUTSIDE);
    if (r < 0)
        return r;
    s->keeper = t;
    return SCHED_PARKED;
}
