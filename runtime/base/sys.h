/* SPDX-License-Identifier: MIT */
/* sys.h - the system calls and the memory this runtime asks for, each able to fail in the hard build.
 *
 * All return what the system returned, or -errno. EINTR is retried here, except where a wait
 * was interrupted: those return -EINTR, because the caller must look at its clock again. Sockets are
 * made non-blocking and close-on-exec. Writing to a socket never raises SIGPIPE. */
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
ssize_t sys_peek(int fd, void *bytes, size_t n); /* leaves them where they are */
ssize_t sys_send(int fd, const struct iovec *iov, int count);

/* Datagrams are never cut short in the hard build. Receiving returns a datagram's whole length, more than n
 * where it did not fit; the rest is gone. address may be NULL. */
ssize_t sys_recv_from(int fd, void *bytes, size_t n, struct sockaddr *address, socklen_t *len);
ssize_t sys_send_to(int fd, const void *bytes, size_t n, const struct sockaddr *address, socklen_t len);
int sys_recv_many(int fd, struct mmsghdr *messages, unsigned count); /* how many; msg_len as above */
int sys_send_many(int fd, struct mmsghdr *messages, unsigned count); /* how many, or why not the first */

int sys_pipe(int fds[2]); /* both ends non-blocking */
ssize_t sys_read(int fd, void *bytes, size_t n);
ssize_t sys_write(int fd, const void *bytes, size_t n);
ssize_t sys_read_some(int fd, void *bytes, size_t n); /* as sys_recv: may fail and be cut short in the hard build */
int sys_set_nonblocking(int fd, bool on);
int sys_set_cloexec(int fd);
/* Which open file a descriptor is. Sockets and pipes differ; eventfds, which have no inode of their own, do not. */
struct sys_identity {
    uint64_t device, inode;
};

/* 1 for a regular file or a directory, else 0. id: of that descriptor. */
int sys_is_file(int fd, struct sys_identity *id);
int sys_unlink(const char *path);
int sys_dup(int fd); /* close-on-exec */

/* Which file it is; two are the same where dev and ino are. */
struct sys_file {
    uint64_t dev, ino;
    uint32_t mode; /* type and permission bits */
};

int sys_file_at(const char *path, struct sys_file *f); /* a symbolic link is itself */
int sys_file_of(int fd, struct sys_file *f);
int sys_open_path(const char *path);   /* for sys_file_of and sys_chmod alone; follows no link */
int sys_open_folder(const char *path); /* for sys_lock */
int sys_chmod(int fd, uint32_t mode);  /* of what sys_open_path has opened */
int sys_fchmod(int fd, uint32_t mode);
int sys_lock(int fd);                  /* exclusive, until fd is closed; -EWOULDBLOCK: somebody else has it */

/* Is a socket, of whatever type, bound at that unix address by a process that lives? 1, 0 or -errno.
 * A listener does not notice. */
int sys_unix_alive(const struct sockaddr *address, socklen_t len);

/* The descriptors go with the first of the n > 0 bytes. As sys_send. */
ssize_t sys_send_fds(int fd, const void *bytes, size_t n, const int *fds, int count);

/* As sys_recv; *count descriptors, at most SYS_FDS_MAX, come with the bytes: they are the caller's, and
 * close-on-exec. *lost: there were more, which the kernel has closed. */
enum { SYS_FDS_MAX = 253 }; /* SCM_MAX_FD */
ssize_t sys_recv_fds(int fd, void *bytes, size_t n, int fds[static SYS_FDS_MAX], int *count, bool *lost);

int sys_if_index(const char *name);            /* the number of a network interface */
int sys_if_name(unsigned index, char *name);   /* its name: IF_NAMESIZE bytes */
int sys_fingerprint(const char *path, uint64_t *print); /* changes with the file; 0: there is none */

/* Never fails and never retries: on Linux the descriptor is gone even after EINTR. */
void sys_close(int fd);

/* timeout in nanoseconds, negative: none. May return -EINTR. */
int sys_poll(struct pollfd *fds, size_t count, int64_t timeout);

void *sys_alloc(size_t n);            /* zeroed; NULL where there is no memory */
void *sys_realloc(void *p, size_t n); /* NULL leaves p as it was */
void sys_free(void *p);
uint64_t sys_allocated(void); /* blocks that are not freed yet, in this process */

#endif
