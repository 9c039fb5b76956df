/* SPDX-License-Identifier: MIT */
/* sys_call.h - the first and last lines of every system call wrapper.
 *
 * Only for the sys*.c files. */
#ifndef MOONPARK_SYS_CALL_H
#define MOONPARK_SYS_CALL_H

#include "base/hard.h"

#include <errno.h>

#define FAULT(err)                        \
    do {                                  \
        int fault_ = hard_syscall(err);   \
        if (fault_)                       \
            return fault_;                \
    } while (0)

#define RETRY(r, call)                    \
    do                                    \
        (r) = (call);                     \
    while ((r) < 0 && errno == EINTR);    \
    return (r) < 0 ? -errno : (r)

#endif
