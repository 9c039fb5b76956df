/* SPDX-License-Identifier: MIT */
/* errors.h - every failure's code, and its text in stable, lower-case, locale-free words.
 *
 * Codes are negative: -errno for the system's, these for ours. They are apart because a
 * passed deadline is not the kernel's ETIMEDOUT of a dead peer, and "closed" by us is not a reset. */
#ifndef MOONPARK_ERRORS_H
#define MOONPARK_ERRORS_H

enum {
    ERR_EOF = -100001,      /* the peer ended the stream */
    ERR_TIMEOUT = -100002,  /* a deadline of ours passed */
    ERR_CLOSED = -100003,   /* closed by us */
    ERR_CANCELED = -100004, /* the task or one of its scopes was cancelled */
    ERR_TOO_LONG = -100005, /* a line or message is longer than the bound given */
    ERR_MALFORMED = -100040, /* what the peer sends is not what the protocol says */
    ERR_NOT_POLLABLE = -100006, /* the descriptor cannot be waited on (a regular file) */
    ERR_NOT_UNIX = -100030,   /* only a unix socket can do that */
    ERR_FDS_LOST = -100031,   /* descriptors were sent, and the kernel could not give them all to us */
    ERR_IN_USE = -100032,     /* the descriptor belongs to a connection, or to the runtime itself */
    ERR_WRONG_KIND = -100033, /* the descriptor is not what was asked for, or nothing we can use */
    ERR_UNEXPECTED_EOF = -100010, /* a file ends before what was to be sent of it */
    ERR_NOT_A_FILE = -100011,     /* a FIFO, a device, a socket where a regular file is needed */
    ERR_NO_HOST = -100020,  /* the name has no address */
    ERR_SERVER = -100021,   /* no name server gave an answer that can be used */
};

/* The text for a negative code; never NULL. Unknown numbers give "system error". */
const char *errors_text(int code);

/* The errno behind a code, or 0 where the system gave none. */
int errors_errno(int code);

#endif
