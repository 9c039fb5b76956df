/* SPDX-License-Identifier: MIT */
/* signals.c - the handler writes a flag and wakes the loop; nothing else is safe in there. */
#define _GNU_SOURCE
#include "loop/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct {
    struct poller *poller;
    struct sigaction before;
    uint32_t users;
    volatile sig_atomic_t keepers; /* users with `kept`: a second signal does not end the process */
    volatile sig_atomic_t pending;
} watched[NSIG];

static bool (*volatile look)(int signo, bool again);

static bool ends(int signo)
{
    return signo == SIGINT || signo == SIGTERM || signo == SIGQUIT || signo == SIGPIPE;
}

static void on_signal(int signo)
{
    bool again = watched[signo].pending;
    if (look && !watched[signo].keepers && look(signo, again))
        return;
    if (again && !watched[signo].keepers && ends(signo)) {
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(signo, &plain, NULL);
        raise(signo);
        return;
    }
    watched[signo].pending = 1;
    struct poller *p = watched[signo].poller;
    if (p)
        p->ops->wake(p);
}

void signals_look_at(bool (*fn)(int signo, bool again)) { look = fn; }

static void forget_users(int signo)
{
    watched[signo].poller = NULL;
    watched[signo].users = 0;
    watched[signo].keepers = 0;
}

static int catch(int signo)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&sa.sa_mask);
    watched[signo].pending = 0;
    return sigaction(signo, &sa, &watched[signo].before) < 0 ? -errno : 0;
}

int signals_watch(struct poller *p, int signo, bool kept)
{
    if (signo <= 0 || signo >= NSIG)
        return -EINVAL;
    bool caught = watched[signo].poller;
    if (watched[signo].poller != p)
        forget_users(signo);
    watched[signo].users++;
    watched[signo].keepers += kept;
    watched[signo].poller = p;
    int r = caught ? 0 : catch(signo); /* last: a signal that arrives now finds whom to wake */
    if (r < 0)
        forget_users(signo);
    return r;
}

bool signals_pending(int signo) { return watched[signo].pending; }

bool signals_ignored(int signo)
{
    struct sigaction sa;
    return sigaction(signo, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

void signals_default(int signo)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(signo, &plain, NULL);
}

static void restore(int signo)
{
    sigaction(signo, &watched[signo].before, NULL);
    forget_users(signo);
}

void signals_unwatch(struct poller *p, int signo, bool kept)
{
    if (watched[signo].poller != p)
        return;
    watched[signo].keepers -= kept;
    if (--watched[signo].users > 0)
        return;
    restore(signo);
    if (watched[signo].pending) {
        watched[signo].pending = 0;
        raise(signo);
    }
}

void signals_forget(struct poller *p)
{
    for (int signo = 1; signo < NSIG; signo++)
        if (watched[signo].poller == p)
            restore(signo);
}

int signals_take(struct poller *p)
{
    for (int signo = 1; signo < NSIG; signo++)
        if (watched[signo].poller == p && watched[signo].pending) {
            watched[signo].pending = 0;
            return signo;
        }
    return 0;
}
