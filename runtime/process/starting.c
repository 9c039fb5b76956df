/* SPDX-License-Identifier: MIT */
/* starting.c - one block for all words. The side that reaches the phase second, the thread or the caller, kills. */
#include "process/starting.h"

#include "base/errors.h"
#include "base/sys.h"

#include <string.h>

enum { IDLE, BEGUN, STARTED, FAILED, OFF };

static struct starting *of_job(struct job *j) { return container_of(j, struct starting, job); }

static bool enter(struct starting *j, uint8_t from, uint8_t to)
{
    return __atomic_compare_exchange_n(&j->phase, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* A detached child leads its session, and so a group. */
static void kill_child(struct starting *j)
{
    j->child.group |= j->child.detached;
    child_kill_now(&j->child);
}

static void run(struct job *job)
{
    struct starting *j = of_job(job);
    j->result = ERR_CANCELED;
    if (!enter(j, IDLE, BEGUN))
        return;
    j->result = child_spawn(&j->child, &j->s);
    if (enter(j, BEGUN, j->result == 0 ? STARTED : FAILED))
        return;
    kill_child(j);
    j->result = ERR_CANCELED;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        sys_close(*fd);
    *fd = -1;
}

static void drop(struct job *job)
{
    struct starting *j = of_job(job);
    kill_child(j);
    for (int i = 0; i < 3; i++) {
        close_one(&j->s.fds[i]);
        close_one(&j->ours[i]);
    }
    sys_free(j);
}

/* ---- copies ---- */

static size_t measure(char *const *list, size_t *bytes)
{
    size_t n = 0;
    for (; list[n]; n++)
        *bytes += strlen(list[n]) + 1;
    return n;
}

static char *copy_text(const char *text, char **to)
{
    size_t n = strlen(text) + 1;
    char *copy = memcpy(*to, text, n);
    *to += n;
    return copy;
}

/* Writes pointers into words and the texts from *to on. The block is zeroed, so the list is terminated. */
static char *const *copy_list(char *const *list, char **words, char **to)
{
    for (size_t i = 0; list[i]; i++)
        words[i] = copy_text(list[i], to);
    return words;
}

struct starting *starting_new(const struct sys_spawn *s)
{
    size_t bytes = s->cwd ? strlen(s->cwd) + 1 : 0;
    size_t argc = measure(s->argv, &bytes), envc = measure(s->envp, &bytes);
    size_t words = argc + envc + 2;
    struct starting *j = sys_alloc(sizeof *j + words * sizeof *j->words + bytes);
    if (!j)
        return NULL;
    char *text = (char *)(j->words + words);
    j->job.run = run;
    j->job.drop = drop;
    j->s = *s;
    j->s.argv = copy_list(s->argv, j->words, &text);
    j->s.envp = copy_list(s->envp, j->words + argc + 1, &text);
    j->s.cwd = s->cwd ? copy_text(s->cwd, &text) : NULL;
    j->child.pidfd = -1;
    for (int i = 0; i < 3; i++)
        j->ours[i] = -1;
    return j;
}

/* ---- descriptors ---- */

int starting_pipe(struct starting *j, int i)
{
    int fds[2];
    int r = sys_pipe(fds);
    if (r < 0)
        return r;
    j->s.fds[i] = fds[i == 0 ? 0 : 1];
    j->ours[i] = fds[i == 0 ? 1 : 0];
    return sys_set_nonblocking(j->s.fds[i], false); /* the two ends have separate file descriptions */
}

int starting_lend(struct starting *j, int i, int fd)
{
    int copy = sys_dup_high(fd);
    if (copy < 0)
        return copy;
    j->s.fds[i] = copy;
    return 0;
}

/* ---- the end ---- */

bool starting_call_off(struct starting *j)
{
    uint8_t phase = __atomic_exchange_n(&j->phase, OFF, __ATOMIC_ACQ_REL);
    if (phase == STARTED) {
        kill_child(j);
        j->result = ERR_CANCELED;
    }
    return phase == IDLE || phase == FAILED;
}

struct child starting_take(struct starting *j)
{
    struct child c = j->child;
    j->child = (struct child){.pidfd = -1};
    return c;
}

int starting_take_pipe(struct starting *j, int i)
{
    int fd = j->ours[i];
    j->ours[i] = -1;
    return fd;
}
