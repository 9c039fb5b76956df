/* SPDX-License-Identifier: MIT */
/* sys.h - system calls and memory allocation; each can be made to fail in the hard build.
 *
 * All return what the system returned, or -errno. They retry on EINTR; an interrupted wait returns -EINTR
 * instead, because the caller must look at its clock again. Sockets are non-blocking and close-on-exec.
 * Writing to a socket never raises SIGPIPE. */
#ifndef MOONPARK_SYS_H
#define MOONPARK_SYS_H

#include "base/base.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct mmsghdr;

int sys_socket(int family, int type);
int sys_bind(int fd, const struct sockaddr *address, socklen_t len);
int sys_listen(int fd, int backlog);
int sys_accept(int fd, struct sockaddr *address, socklen_t *len);
int sys_connect(int fd, const struct sockaddr *address, socklen_t len);
int sys_shutdown(int fd, int how);
int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int sys_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int sys_getpeername(int fd, struct sockaddr *address, socklen_t *len);
ssize_t sys_recv(int fd, void *bytes, size_t n);
ssize_t sys_peek(int fd, void *bytes, size_t n); /* does not consume them */
ssize_t sys_send(int fd, const struct iovec *iov, int count);

/* The hard build never shortens datagrams. Receiving returns the full length of a datagram: more than n if it did
 * not fit, and then the excess is lost. address may be NULL. */
ssize_t sys_recv_from(int fd, void *bytes, size_t n, struct sockaddr *address, socklen_t *len);
ssize_t sys_send_to(int fd, const void *bytes, size_t n, const struct sockaddr *address, socklen_t len);
int sys_recv_many(int fd, struct mmsghdr *messages, unsigned count); /* returns how many; msg_len as above */
int sys_send_many(int fd, struct mmsghdr *messages, unsigned count); /* returns how many, or why the first failed */

int sys_pipe(int fds[2]); /* both ends non-blocking */
int sys_eventfd(void);    /* non-blocking, close-on-exec */
ssize_t sys_read(int fd, void *bytes, size_t n);
ssize_t sys_write(int fd, const void *bytes, size_t n);
ssize_t sys_read_some(int fd, void *bytes, size_t n); /* like sys_recv: may fail or be shortened in the hard build */
int sys_set_nonblocking(int fd, bool on);
int sys_set_cloexec(int fd);
/* Identifies the open file of a descriptor. Eventfds cannot be told apart: they have no inode of their own. */
struct sys_identity {
    uint64_t device, inode;
};

/* Returns 1 for a regular file or a directory, else 0. Fills in id. */
int sys_is_file(int fd, struct sys_identity *id);
int sys_unlink(const char *path);
int sys_dup(int fd); /* close-on-exec */
int sys_random(void *bytes, size_t n); /* n bytes, at most 256, that nobody can foresee */

/* Identifies a file: two with equal dev and ino are the same one. */
struct sys_file {
    uint64_t dev, ino;
    uint32_t mode; /* type and permission bits */
};

int sys_file_at(const char *path, struct sys_file *f); /* of a symbolic link itself, not of its target */
int sys_file_of(int fd, struct sys_file *f);
int sys_open_path(const char *path);   /* only for sys_file_of and sys_chmod; follows no link */
int sys_open_folder(const char *path); /* for sys_lock */
int sys_chmod(int fd, uint32_t mode);  /* fd is from sys_open_path */
int sys_fchmod(int fd, uint32_t mode);
int sys_lock(int fd);                  /* exclusive, until fd is closed; -EWOULDBLOCK: someone else holds it */

/* Is a socket of any type bound to this unix address by a living process? Returns 1, 0 or -errno.
 * A listener does not notice the check. */
int sys_unix_alive(const struct sockaddr *address, socklen_t len);

/* Like sys_send; the descriptors travel with the first of the n > 0 bytes. */
ssize_t sys_send_fds(int fd, const void *bytes, size_t n, const int *fds, int count);

/* Like sys_recv; *count descriptors, at most SYS_FDS_MAX, come with the bytes. They belong to the caller and are
 * close-on-exec. *lost: there were more, which the kernel closed. */
enum { SYS_FDS_MAX = 253 }; /* SCM_MAX_FD */
ssize_t sys_recv_fds(int fd, void *bytes, size_t n, int fds[static SYS_FDS_MAX], int *count, bool *lost);

int sys_if_index(const char *name);            /* the number of a network interface */
int sys_if_name(unsigned index, char *name);   /* its name: IF_NAMESIZE bytes */
int sys_fingerprint(const char *path, uint64_t *print); /* *print changes when the file does; 0: there is no file */

/* Never fails and never retries: on Linux the descriptor is gone even after EINTR. */
void sys_close(int fd);

/* timeout in nanoseconds; negative: no timeout. May return -EINTR. */
int sys_poll(struct pollfd *fds, size_t count, int64_t timeout);

void *sys_alloc(size_t n);            /* zeroed; NULL: no memory */
void *sys_realloc(void *p, size_t n); /* NULL leaves p as it was */
void sys_free(void *p);
/* For a library that is told how to allocate: not zeroed, not counted below, and only `may_fail` fails on purpose. */
void *sys_library_realloc(void *p, size_t n, bool may_fail);
void sys_library_free(void *p);
uint64_t sys_allocated(void); /* blocks of this process that are not freed yet */

/* From now on up to 8 MiB that are freed stay with the process, so that the next large buffer does not fault its pages
 * in again. What the environment says about the C library's malloc is left as it is. */
void sys_keep_freed(void);

#endif
