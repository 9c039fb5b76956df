/* SPDX-License-Identifier: MIT */
/* starting.h - a child process, started by a helper thread: until its program is loaded the one who starts it stands
 * still, and a disk or a file server may take its time.
 *
 * Called by l_process. Words and descriptors are copies, which belong to the job, and so does the child
 * until it is taken: who leaves before (starting_call_off, pool_release) leaves neither behind.
 *
 *   phase     means                            leaves by
 *   IDLE      no program can be running        the thread begins: BEGUN
 *   BEGUN     it may have one already          the thread knows how it went: STARTED, FAILED
 *   STARTED   it runs                          taken, or killed
 *   FAILED    there is none
 *   OFF       called off, in any of these      never: whoever sees this last kills what has been started */
#ifndef MOONPARK_STARTING_H
#define MOONPARK_STARTING_H

#include "loop/pool.h"
#include "process/child.h"

struct starting {
    struct job job;       /* first */
    void *waiter;         /* the caller's, for job.done */
    struct sys_spawn s;   /* of copies; the descriptors among s.fds too */
    struct child child;
    int ours[3];          /* the other ends of pipes; -1 */
    int result;           /* once it is done: 0, or why there is no child */
    uint8_t phase;        /* atomic */
    char *words[];        /* of argv and envp, with the texts behind */
};

/* To be submitted, with its job.done set. Copies what s points at; s->fds must be none of ours. NULL: no memory. */
struct starting *starting_new(const struct sys_spawn *s);

/* The child's descriptor i becomes an end of a new pipe. 0 or -errno. */
int starting_pipe(struct starting *j, int i);

/* The child's descriptor i becomes a copy of fd. 0 or -errno. */
int starting_lend(struct starting *j, int i, int fd);

/* Nobody wants the child, and it is killed as soon as it is there. True: it never was there, nor will be. */
bool starting_call_off(struct starting *j);

/* Of one that is done, with the result 0: the child is the caller's. */
struct child starting_take(struct starting *j);
int starting_take_pipe(struct starting *j, int i); /* our end, which is the caller's */

#endif
