/* SPDX-License-Identifier: MIT */
/* errors.h - the code of every failure, and its text: stable, lower case, independent of the locale.
 *
 * Codes are negative: -errno for the system's errors, the constants below for ours. They differ because a
 * deadline that passed is not the kernel's ETIMEDOUT of a dead peer, and "closed" by us is not a reset. */
#ifndef MOONPARK_ERRORS_H
#define MOONPARK_ERRORS_H

enum {
    ERR_EOF = -100001,      /* the peer ended the stream */
    ERR_TIMEOUT = -100002,  /* one of our deadlines passed */
    ERR_CLOSED = -100003,   /* closed by us */
    ERR_CANCELED = -100004, /* the task or one of its scopes was cancelled */
    ERR_TOO_LONG = -100005, /* a line or message is longer than the given limit */
    ERR_MALFORMED = -100040, /* the peer violates the protocol */
    ERR_NOT_POLLABLE = -100006, /* the descriptor cannot be waited on (a regular file) */
    ERR_NOT_UNIX = -100030,   /* only unix sockets can do this */
    ERR_FDS_LOST = -100031,   /* descriptors were sent, but the kernel could not deliver all of them */
    ERR_IN_USE = -100032,     /* the descriptor belongs to a connection, or to the runtime itself */
    ERR_WRONG_KIND = -100033, /* the descriptor is not of the wanted kind, or of no kind that we can use */
    ERR_UNEXPECTED_EOF = -100010, /* a file ends before the part that was to be sent; TLS ends without saying so */
    ERR_NOT_A_FILE = -100011,     /* a FIFO, a device or a socket, but a regular file is needed */
    ERR_NO_HOST = -100020,  /* the name has no address */
    ERR_SERVER = -100021,   /* no name server gave a usable answer */
};

/* A code whose text is `words`, cut to 159 bytes: the same for the same words. The text is kept until this has been
 * called with 63 other ones; "failure" after that. */
int errors_code(const char *words);

/* The text of a negative code; never NULL. Unknown codes give "system error". */
const char *errors_text(int code);

/* The errno of a code, or 0 if the code is one of ours. */
int errors_errno(int code);

#endif
