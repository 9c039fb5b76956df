/* SPDX-License-Identifier: MIT */
/* adopt.c - sockets report their kind; other descriptors are tried. O_NONBLOCK is set last: every copy of a descriptor
 * shares it, in other processes too, so nothing may fail after it. */
#include "net/adopt.h"

#include "base/errors.h"
#include "base/sys.h"
#include "loop/netpoll.h"
#include "net/dgram.h"
#include "net/fdstream.h"
#include "net/socket.h"

#include <errno.h>
#include <sys/stat.h>

/* Compares with everything that is open: this happens at program start, not for each client. */
static bool in_use(const struct loop *l, int fd)
{
    const struct pollDesc *pd;
    if (l->poller->ops->owns(l->poller, fd))
        return true;
    for (uint32_t slot = 0; (pd = netpoll_slot(&l->netpoll, slot)); slot++)
        if (pd->open && pd->fd == fd)
            return true;
    for (const struct list *at = l->conns.next; at != &l->conns; at = at->next) {
        const struct stream *s = &container_of(at, struct conn, link)->stream;
        if (s->fd == fd && !(s->pd && s->pd->lost))
            return true;
    }
    return false;
}

static int ask(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    int r = sys_getsockopt(fd, SOL_SOCKET, name, &value, &len);
    return r < 0 ? r : value;
}

static int look_at_socket(int fd, struct adopted *a)
{
    struct addr name;
    int type = ask(fd, SO_TYPE), family = ask(fd, SO_DOMAIN), listens = ask(fd, SO_ACCEPTCONN);
    if (type < 0 || family < 0 || listens < 0)
        return type < 0 ? type : family < 0 ? family : listens;
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return ERR_WRONG_KIND;
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return ERR_WRONG_KIND;
    name.any.sa_family = (sa_family_t)family;
    a->stream.ops = type == SOCK_DGRAM ? dgram_ops(family) : socket_ops(&name);
    a->kind = type == SOCK_DGRAM ? CONN_PACKET : listens ? CONN_LISTENER : CONN_STREAM;
    return a->kind == CONN_STREAM ? socket_peer(fd, &name) : 0;
}

int adopt_look(struct loop *l, int fd, struct adopted *a)
{
    struct sys_file file;
    int r = sys_file_of(fd, &file);
    if (r < 0)
        return r;
    netpoll_look_at(&l->netpoll, fd);
    if (in_use(l, fd))
        return ERR_IN_USE;
    *a = (struct adopted){.stream = {.ops = &fdstream_ops, .fd = fd}, .kind = CONN_STREAM};
    if (S_ISREG(file.mode) || S_ISDIR(file.mode) || S_ISBLK(file.mode))
        return ERR_NOT_POLLABLE;
    return S_ISSOCK(file.mode) ? look_at_socket(fd, a) : 0;
}

static int fit(int fd, bool is_tcp)
{
    int r = is_tcp ? socket_set_defaults(fd, AF_INET) : 0;
    if (r == 0)
        r = sys_set_cloexec(fd);
    return r == 0 ? sys_set_nonblocking(fd, true) : r;
}

int adopt_take(struct loop *l, int fd, struct adopted *a)
{
    int r = adopt_look(l, fd, a);
    if (r < 0)
        return r;
    bool is_tcp = a->kind != CONN_PACKET && a->stream.ops != &fdstream_ops && !socket_is_unix(a->stream.ops);
    if (a->stream.ops == &fdstream_ops)
        r = netpoll_open(&l->netpoll, fd, &a->stream.pd);
    if (r < 0)
        return r;
    r = fit(fd, is_tcp);
    if (r < 0 && a->stream.pd) {
        netpoll_unblock(a->stream.pd);
        netpoll_close(a->stream.pd);
    }
    return r;
}
