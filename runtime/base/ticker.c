/* SPDX-License-Identifier: MIT */
/* ticker.c - timer_create with the thread's id, because a helper thread knows nothing of Lua.
 *
 * The signal's number is searched from the top of the real-time signals, where others rarely look. */
#define _GNU_SOURCE
#include "base/ticker.h"

#include "base/sys_call.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    void (*tick)(void);
    timer_t timer;
    int signo; /* 0: closed */
} ticker;

static void on_signal(int signo)
{
    int saved = errno;
    (void)signo;
    if (ticker.tick)
        ticker.tick();
    errno = saved;
}

/* The last ones are left out: emulators, which need some for themselves, do not have all that they seem to have. */
static int free_signal(void)
{
    struct sigaction sa;
    for (int signo = SIGRTMAX - 4; signo >= SIGRTMIN; signo--)
        if (sigaction(signo, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL)
            return signo;
    return -EAGAIN;
}

static int make_timer(int signo)
{
    struct sigevent event;
    FAULT(EAGAIN);
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signo;
    event._sigev_un._tid = gettid();
    return timer_create(CLOCK_MONOTONIC, &event, &ticker.timer) < 0 ? -errno : 0;
}

int ticker_open(void (*tick)(void))
{
    must(ticker.signo == 0);
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER};
    int signo = free_signal();
    int r = signo < 0 ? signo : make_timer(signo);
    if (r < 0)
        return r;
    must(sigaction(signo, &sa, NULL) == 0);
    ticker.tick = tick;
    ticker.signo = signo;
    return 0;
}

void ticker_set(int64_t period)
{
    struct timespec ts = {.tv_sec = period / NS_PER_SECOND, .tv_nsec = period % NS_PER_SECOND};
    struct itimerspec times = {.it_interval = ts, .it_value = ts};
    if (ticker.signo)
        (void)timer_settime(ticker.timer, 0, &times, NULL);
}

/* A signal that is still on its way finds no function. */
void ticker_close(void)
{
    struct sigaction plain = {.sa_handler = SIG_IGN};
    if (!ticker.signo)
        return;
    (void)timer_delete(ticker.timer);
    ticker.tick = NULL;
    (void)sigaction(ticker.signo, &plain, NULL);
    plain.sa_handler = SIG_DFL;
    (void)sigaction(ticker.signo, &plain, NULL);
    ticker.signo = 0;
}
