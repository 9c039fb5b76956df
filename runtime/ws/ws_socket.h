/* SPDX-License-Identifier: MIT */
/* ws_socket.h - a WebSocket: a connection, what is known of the message that is being read, control frames that are to
 * leave, and the time of the next ping.
 *
 * Called by ws_receive, ws_send, ws_idle, ws_group and the Lua face. While nothing comes it holds its struct and no
 * buffer.
 *
 *   who writes      one frame at a time leaves. A send (an operation of a task) holds the write side of the connection
 *                   from its first byte to its last. Control frames wait in `out`, and messages of groups in `queue`,
 *                   until no frame is under way. No task is needed for them: see ws_idle
 *   how it ends     `ending` says why, and every call from then on returns it. With a close frame of both sides; by a
 *                   failure: its close frame leaves, and what the peer still sends is read for a moment, or the peer
 *                   would lose that frame; or cut, after a frame that could not be sent to its end
 *   who reads       a task that receives; while there is none, ws_idle takes control frames, up to the next message */
#ifndef MOONPARK_WS_SOCKET_H
#define MOONPARK_WS_SOCKET_H

#include "net/conn.h"
#include "ws/ws_frame.h"
#include "ws/ws_keys.h"
#include "ws/ws_queue.h"
#include "ws/ws_utf8.h"

struct ws_pack;

enum { WS_NO_CODE = 1005, WS_CUT = 1006 }; /* codes that never travel */
enum { WS_REASON_MAX = WS_CONTROL_MAX - 2 };
enum { WS_OUT_MAX = 4096 }; /* bytes of `out`: see ws_socket_is_full */

/* Bounds, from options. Times are ns, 0: none. */
struct ws_limits {
    uint64_t message, frame; /* bytes */
    uint32_t controls;       /* control frames and empty fragments a second; 0: any number */
    int64_t ping, pong;      /* between the last sign of life and a ping; between that and the next sign */
    int64_t sending, closing;
};

/* Where the reader is. */
enum ws_stage {
    WS_AT_HEAD,
    WS_IN_PAYLOAD,
    WS_AT_END, /* of a message that was not handed out yet */
};

/* The socket in a group; the group's. */
struct ws_member {
    struct list in_socket;
    void (*changed)(struct ws_member *m, bool over); /* its queue is shorter; over: removes m from memberships */
};

struct ws_socket {
    struct conn c;
    struct ws_limits limits;
    struct buf out;       /* whole control frames; the first may have left in part */
    struct ws_queue queue; /* whole messages of groups */
    size_t begun;         /* bytes of `out` that go before all else: their first has left, or is held; 0: none */
    uint32_t held;        /* bytes of `out` or `queue` that the stream has taken, but not counted (stream.taken) */
    struct list memberships; /* ws_member.in_socket */
    struct timer timer;   /* of the next ping, or of the answer to one; or of the end */
    struct late late;     /* looks after it, see ws_idle; its function is handed down */
    struct ws_keys *keys; /* of a client, which masks; NULL: a server's end */
    struct ws_pack *pack; /* permessage-deflate; NULL: not agreed on */
    char *reason;         /* of the peer's close frame, reason_length bytes; NULL: none */

    /* The message that is being read: its bytes so far come first in c.in (if it is compressed: in pack->message). Then
     * `gap` bytes of heads and control frames that came between, then what was not looked at yet. */
    size_t done, gap;
    uint64_t total;       /* bytes of the message, those that were handed out included */
    uint64_t left, taken; /* bytes of the frame's payload: to come, and before them */
    int64_t second;       /* the one of which `controls` counts */
    uint32_t controls;
    struct ws_utf8 utf8;
    uint8_t key[WS_KEY];  /* of the frame */
    uint8_t kind;         /* WS_TEXT, WS_BINARY; 0: between messages */
    uint8_t stage;        /* enum ws_stage */
    bool fin, packed;     /* of the frame; of the message */

    int ending;           /* why it is over, or about to be; 0: it is open */
    int mute;             /* why nothing can be sent; 0: it can */
    uint16_t sent, got;   /* codes of the close frames; 0: none yet */
    uint8_t reason_length;
    bool sending;         /* a send has begun: nothing else leaves before its frame's end */
    bool open_message;    /* fragments of a message have been sent, and its last has not */
    bool timed;           /* the timer is set */
    bool heard;           /* something came since the timer was set */
    bool pinged;          /* the timer waits for an answer */
    bool lingers;         /* before it is closed, the peer's end is waited for */
    bool leaving;         /* the timer is the end's: no task sees to that */
    bool shut;            /* our half is closed */
};

static inline struct ws_socket *ws_socket_of(struct conn *c) { return container_of(c, struct ws_socket, c); }

/* Makes w (zeroed) a closed one. */
void ws_socket_init(struct ws_socket *w, struct loop *loop);

/* Opens w over a connection, whose stream and received bytes it takes; `from` is closed then. Bytes in `out` leave
 * first. Returns 0, or ERR_CLOSED, -EBUSY, -ENOMEM with `from` as it was. */
int ws_socket_open(struct ws_socket *w, struct conn *from, const struct ws_limits *most, struct ws_keys *keys);

/* Closes what is open, without a close frame, and frees everything. */
void ws_socket_fini(struct ws_socket *w);

/* Is there something in `out` or `queue` that may leave now? Between the fragments of a message no other one does. */
static inline bool ws_socket_has_more(const struct ws_socket *w)
{
    return buf_len(&w->out) > 0 || (!ws_queue_is_empty(&w->queue) && !w->open_message);
}

/* Sends that, as far as it can leave now. Returns 0: all; -EAGAIN: the rest waits, for the side that stream.again says,
 * and leaves then; -EBUSY: a data frame is under way; or why nothing can be sent. */
int ws_socket_pump(struct ws_socket *w);

/* Is there so much in `out` that no ping, and no answer to one, may be added? */
static inline bool ws_socket_is_full(const struct ws_socket *w) { return buf_len(&w->out) > WS_OUT_MAX; }

/* Writes bytes that are no task's. What the stream takes of them without counting it is `held`: a send that waits for
 * its turn, and is given up, must not count it as its own. Returns as the stream's write. */
ssize_t ws_socket_write(struct ws_socket *w, const struct iovec *iov, int count);

/* `ending` has changed: the reader's task looks at it, or ws_idle. */
void ws_socket_nudge(struct ws_socket *w);

/* ws_idle looks after w, before the loop blocks. */
static inline void ws_socket_look_after(struct ws_socket *w)
{
    if (w->late.run)
        loop_late(w->c.loop, &w->late);
}

/* No task sees to the end, which may take its time: then w is closed. */
void ws_socket_leave_by_time(struct ws_socket *w);

/* Has a control frame leave as soon as it may. Returns 0; ERR_CLOSED: a close frame was sent; `ending`; -ENOMEM, ... */
int ws_socket_control(struct ws_socket *w, enum ws_opcode opcode, const char *bytes, size_t n);

/* The same for the close frame: no data frame follows. code 0: none is said. Harmless twice. */
int ws_socket_close(struct ws_socket *w, unsigned code, const char *reason, size_t n);

/* No push reads the message any more: if the socket was closed meanwhile, the rest of that follows. Harmless twice. */
void ws_socket_unpin(struct ws_socket *w);

/* Closes the connection, once `ending` and all else that is known of the end has been noted. */
void ws_socket_shut(struct ws_socket *w);

/* It is over at once, for that reason; the peer sees a cut. */
void ws_socket_cut(struct ws_socket *w, int why);

/* Describes the wait of an operation, for its wait kind. */
void ws_socket_describe(const struct task *t, char *text, size_t n);

void ws_socket_check(const struct conn *c);

#endif
