/* SPDX-License-Identifier: MIT */
/* errors.c - one table of texts. strerror() is not used: it follows the user's locale, and scripts
 * compare these texts. */
#include "base/errors.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>

struct text {
    int code;
    const char *words;
};

static const struct text texts[] = {
    {ERR_EOF, "eof"},
    {ERR_TIMEOUT, "timeout"},
    {ERR_CLOSED, "closed"},
    {ERR_CANCELED, "canceled"},
    {ERR_TOO_LONG, "too long"},
    {ERR_MALFORMED, "malformed message"},
    {ERR_NOT_POLLABLE, "not pollable"},
    {ERR_NOT_UNIX, "not a unix socket"},
    {ERR_FDS_LOST, "descriptors lost"},
    {ERR_IN_USE, "descriptor in use"},
    {ERR_WRONG_KIND, "wrong kind of descriptor"},
    {ERR_NO_HOST, "no such host"},
    {ERR_SERVER, "server failure"},
    {-E2BIG, "argument list too long"},
    {ERR_UNEXPECTED_EOF, "unexpected eof"},
    {ERR_NOT_A_FILE, "not a regular file"},
    {-EACCES, "permission denied"},
    {-EADDRINUSE, "address already in use"},
    {-EADDRNOTAVAIL, "cannot assign requested address"},
    {-EAFNOSUPPORT, "address family not supported by protocol"},
    {-EAGAIN, "resource temporarily unavailable"},
    {-EALREADY, "operation already in progress"},
    {-EBADF, "bad file descriptor"},
    {-EBUSY, "device or resource busy"},
    {-ECHILD, "no child processes"},
    {-ECONNABORTED, "software caused connection abort"},
    {-ECONNREFUSED, "connection refused"},
    {-ECONNRESET, "connection reset by peer"},
    {-EDESTADDRREQ, "destination address required"},
    {-EDOM, "numerical argument out of domain"},
    {-EDQUOT, "disk quota exceeded"},
    {-EEXIST, "file exists"},
    {-EFAULT, "bad address"},
    {-EFBIG, "file too large"},
    {-EHOSTDOWN, "host is down"},
    {-EHOSTUNREACH, "no route to host"},
    {-EINPROGRESS, "operation now in progress"},
    {-EINTR, "interrupted system call"},
    {-EINVAL, "invalid argument"},
    {-EIO, "input/output error"},
    {-EISCONN, "transport endpoint is already connected"},
    {-EISDIR, "is a directory"},
    {-ELOOP, "too many levels of symbolic links"},
    {-EMFILE, "too many open files"},
    {-EMLINK, "too many links"},
    {-EMSGSIZE, "message too long"},
    {-ENAMETOOLONG, "file name too long"},
    {-ENETDOWN, "network is down"},
    {-ENETRESET, "network dropped connection on reset"},
    {-ENETUNREACH, "network is unreachable"},
    {-ENFILE, "too many open files in system"},
    {-ENOBUFS, "no buffer space available"},
    {-ENODEV, "no such device"},
    {-ENOENT, "no such file or directory"},
    {-ENOEXEC, "exec format error"},
    {-ENOMEM, "not enough memory"},
    {-ENOPROTOOPT, "protocol not available"},
    {-ENOSPC, "no space left on device"},
    {-ENOSYS, "function not implemented"},
    {-ENOTCONN, "transport endpoint is not connected"},
    {-ENOTDIR, "not a directory"},
    {-ENOTEMPTY, "directory not empty"},
    {-ENOTSOCK, "socket operation on non-socket"},
    {-ENXIO, "no such device or address"},
    {-EOPNOTSUPP, "operation not supported"},
    {-EOVERFLOW, "value too large for defined data type"},
    {-EPERM, "operation not permitted"},
    {-EPIPE, "broken pipe"},
    {-EPROTO, "protocol error"},
    {-EPROTONOSUPPORT, "protocol not supported"},
    {-EPROTOTYPE, "protocol wrong type for socket"},
    {-ERANGE, "numerical result out of range"},
    {-EROFS, "read-only file system"},
    {-ESPIPE, "illegal seek"},
    {-ESRCH, "no such process"},
    {-ESTALE, "stale file handle"},
    {-ETIMEDOUT, "connection timed out"},
    {-ETOOMANYREFS, "too many references"},
    {-ETXTBSY, "text file busy"},
    {-EXDEV, "invalid cross-device link"},
};

/* Texts that are made while the process runs, such as those with the names of a certificate. A code is the number of
 * its text and is not used twice, so that no code gets another's text. */
enum { KEPT = 64, WORDS = 160, FIRST_KEPT = -200000 };
static char kept[KEPT][WORDS];
static int kept_count;

int errors_code(const char *words)
{
    char cut[WORDS];
    strncpy(cut, words, WORDS - 1);
    cut[WORDS - 1] = '\0';
    for (int i = kept_count > KEPT ? kept_count - KEPT : 0; i < kept_count; i++)
        if (strcmp(kept[i % KEPT], cut) == 0)
            return FIRST_KEPT - i;
    memcpy(kept[kept_count % KEPT], cut, WORDS);
    return FIRST_KEPT - kept_count++;
}

static const char *kept_text(int code)
{
    int i = FIRST_KEPT - code;
    return i >= kept_count ? "system error" : i < kept_count - KEPT ? "failure" : kept[i % KEPT];
}

const char *errors_text(int code)
{
    if (code <= FIRST_KEPT)
        return kept_text(code);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].code == code)
            return texts[i].words;
    return "system error";
}

int errors_errno(int code)
{
    return code < 0 && code > -100000 ? -code : 0;
}
