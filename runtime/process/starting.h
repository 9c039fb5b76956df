/* SPDX-License-Identifier: MIT */
/* starting.h - starts a child process in a helper thread: starting blocks until its program is loaded, and a disk or
 * a file server may be slow.
 *
 * Words and descriptors are copies, which belong to the job. So does the child until it is taken: a task that gives
 * up before (starting_call_off, pool_release) leaves neither behind.
 *
 *   phase     means                            leaves by
 *   IDLE      no program can be running        the thread starts: BEGUN
 *   BEGUN     a program may be running         the thread knows the result: STARTED, FAILED
 *   STARTED   the program is running           taken, or killed
 *   FAILED    there is no program
 *   OFF       called off, in any of these      never: the side that sees this last kills what was started */
#ifndef MOONPARK_STARTING_H
#define MOONPARK_STARTING_H

#include "loop/pool.h"
#include "process/child.h"

struct starting {
    struct job job;       /* first */
    void *waiter;         /* the caller's, for job.done */
    struct sys_spawn s;   /* points at copies; s.fds are copies too */
    struct child child;
    int ours[3];          /* the other ends of pipes; -1 */
    int result;           /* when done: 0, or why there is no child */
    uint8_t phase;        /* atomic */
    char *words[];        /* of argv and envp, followed by the texts */
};

/* Makes a job, to be submitted with its job.done set. Copies what s points at; s->fds must hold no descriptors of ours.
 * NULL: no memory. */
struct starting *starting_new(const struct sys_spawn *s);

/* Makes the child's descriptor i an end of a new pipe. Returns 0 or -errno. */
int starting_pipe(struct starting *j, int i);

/* Makes the child's descriptor i a copy of fd. Returns 0 or -errno. */
int starting_lend(struct starting *j, int i, int fd);

/* The child is no longer wanted: it is killed as soon as it exists. Returns true if it never existed and never will. */
bool starting_call_off(struct starting *j);

/* Of a job that is done with the result 0: the child becomes the caller's. */
struct child starting_take(struct starting *j);
int starting_take_pipe(struct starting *j, int i); /* our end, which becomes the caller's */

#endif
