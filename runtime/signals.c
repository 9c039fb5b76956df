/* SPDX-License-Identifier: MIT */
/* signals.c - the handler writes a flag and wakes the loop; nothing else is safe in there. */
#define _GNU_SOURCE
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct {
    struct poller *poller;
    struct sigaction before;
    volatile sig_atomic_t pending;
} watched[NSIG];

static bool ends(int signo)
{
    return signo == SIGINT || signo == SIGTERM || signo == SIGQUIT || signo == SIGPIPE;
}

static void on_signal(int signo)
{
    if (watched[signo].pending && ends(signo)) {
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

int signals_watch(struct poller *p, int signo)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (signo <= 0 || signo >= NSIG)
        return -EINVAL;
    if (watched[signo].poller) {
        watched[signo].poller = p;
        return 0;
    }
    sigfillset(&sa.sa_mask);
    if (sigaction(signo, &sa, &watched[signo].before) < 0)
        return -errno;
    watched[signo].pending = 0;
    watched[signo].poller = p;
    return 0;
}

bool signals_ignored(int signo)
{
    struct sigaction sa;
    return sigaction(signo, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

static void unwatch(int signo)
{
    sigaction(signo, &watched[signo].before, NULL);
    watched[signo].poller = NULL;
}

void signals_forget(struct poller *p)
{
    for (int signo = 1; signo < NSIG; signo++)
        if (watched[signo].poller == p)
            unwatch(signo);
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
