/* SPDX-License-Identifier: MIT */
/* load_tls.c - HTTPS connections by TLS 1.3 with TLS_AES_128_GCM_SHA256; certificates are not verified.
 *
 * usage: load_tls PORT full | resumed | idle CONNECTIONS | once
 *   full, resumed   for each number on stdin so many connections, CLIENTS at a time: a handshake, one request that
 *                   asks for the end, its answer, the end; prints "done CONNECTIONS SECONDS". In `resumed` each
 *                   resumes the session of the one before it, all but the first of the CLIENTS
 *   idle            connections that have asked once; prints "connected N" and keeps them until stdin ends
 *   once            sends what stdin brings and prints the answer */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>

enum { CLIENTS = 32, ANSWER = 4096, REQUEST = 65536 };

static const char closing[] = "GET /hello HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
static const char keeping[] = "GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n";

struct client {
    int fd;
    SSL *ssl;
    SSL_SESSION *session; /* the newest that the server gave */
    bool resumes;         /* this connection does */
    bool asked;
    size_t got; /* of the answer */
    char answer[ANSWER + 1];
};

static SSL_CTX *context;
static int port;

static _Noreturn void die_of_tls(const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    die("%s: %s", what, reason ? reason : errno ? strerror(errno) : "closed by the server");
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *c = SSL_get_app_data(ssl);
    if (!c)
        return 0;
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static void make_context(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256"))
        die_of_tls("context");
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF); /* some say no close_notify */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
}

static SSL *make_ssl(int fd)
{
    SSL *ssl = SSL_new(context);
    if (!ssl || !SSL_set_fd(ssl, fd))
        die_of_tls("connection");
    SSL_set_connect_state(ssl);
    return ssl;
}

/* Has all of an answer come that says how long it is? */
static bool is_whole(const char *answer, size_t n)
{
    const char *body = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "\r\nContent-Length:");
    return body && length && length < body && (size_t)(answer + n - (body + 4)) >= strtoul(length + 17, NULL, 10);
}

static void must_be_right(const char *answer, size_t n)
{
    if (strncmp(answer, "HTTP/1.1 200", 12) != 0 || !is_whole(answer, n) || !strstr(answer, "\r\n\r\nHello, World!"))
        die("unexpected answer: %s", answer);
}

/* ---- handshakes ---- */

/* After a call that returned r: true if it waits for more of the server, false at the end. */
static bool waits(const struct client *c, int r, const char *what)
{
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return true;
    case SSL_ERROR_ZERO_RETURN:
        return false;
    default:
        die_of_tls(what);
    }
}

static bool shake(struct client *c)
{
    errno = 0;
    int r = SSL_do_handshake(c->ssl);
    if (r != 1) {
        if (!waits(c, r, "handshake"))
            die("handshake: closed by the server");
        return false;
    }
    if (!!SSL_session_reused(c->ssl) != c->resumes)
        die(c->resumes ? "the session was not resumed" : "the session was resumed");
    if (SSL_write(c->ssl, closing, sizeof closing - 1) != sizeof closing - 1)
        die_of_tls("write");
    c->asked = true;
    return true;
}

static void open_client(struct client *c, int poller, bool resumes)
{
    struct linger none = {.l_onoff = 0};
    c->fd = dial(port);
    check(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none), "SO_LINGER"); /* ends as others do */
    check(fcntl(c->fd, F_SETFL, O_NONBLOCK), "fcntl");
    c->ssl = make_ssl(c->fd);
    SSL_set_app_data(c->ssl, c);
    c->resumes = resumes && c->session;
    if (c->resumes && !SSL_set_session(c->ssl, c->session))
        die_of_tls("session");
    c->asked = false;
    c->got = 0;
    watch(poller, c->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, c);
    ERR_clear_error();
    (void)shake(c); /* it speaks first */
}

static void close_client(struct client *c)
{
    must_be_right(c->answer, c->got);
    SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
}

/* Returns true when the server has ended the connection. */
static bool advance(struct client *c)
{
    ERR_clear_error();
    if (!c->asked && !shake(c))
        return false;
    for (;;) {
        errno = 0;
        int r = SSL_read(c->ssl, c->answer + c->got, (int)(ANSWER - c->got));
        if (r <= 0)
            return !waits(c, r, "read");
        c->got += (size_t)r;
        c->answer[c->got] = '\0';
        if (c->got == ANSWER)
            die("too long an answer: %s", c->answer);
    }
}

static void run(struct client *clients, int poller, long operations, bool resumes)
{
    struct epoll_event events[BENCH_EVENTS];
    double began = now();
    long begun = 0;
    for (; begun < CLIENTS && begun < operations; begun++)
        open_client(&clients[begun], poller, resumes);
    for (long finished = 0; finished < operations;) {
        int count = epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;
            if (!advance(c))
                continue;
            close_client(c);
            finished++;
            if (begun < operations) {
                open_client(c, poller, resumes);
                begun++;
            }
        }
    }
    done(operations, began);
}

static void shake_hands(bool resumes)
{
    static struct client clients[CLIENTS];
    int poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    long operations;
    printf("connected %d\n", CLIENTS);
    fflush(stdout);
    while (next_order(&operations))
        run(clients, poller, operations, resumes);
}

/* ---- one exchange after the other, waited for ---- */

/* Returns how many bytes of the answer, which is terminated. */
static size_t ask(SSL *ssl, const char *request, size_t n, char *answer, size_t room)
{
    size_t got = 0;
    int r;
    answer[0] = '\0';
    if (SSL_connect(ssl) != 1)
        die_of_tls("handshake");
    if (SSL_write(ssl, request, (int)n) != (int)n)
        die_of_tls("write");
    while (!is_whole(answer, got) && (r = SSL_read(ssl, answer + got, (int)(room - 1 - got))) > 0) {
        got += (size_t)r;
        answer[got] = '\0';
    }
    return got;
}

static void idle(long connections)
{
    char answer[ANSWER];
    long ignored;
    raise_limit();
    for (long i = 0; i < connections; i++) {
        SSL *ssl = make_ssl(dial(port)); /* kept, as the connection is */
        must_be_right(answer, ask(ssl, keeping, sizeof keeping - 1, answer, sizeof answer));
    }
    printf("connected %ld\n", connections);
    fflush(stdout);
    while (next_order(&ignored))
        continue;
}

static void once(void)
{
    static char request[REQUEST], answer[REQUEST];
    size_t n = fread(request, 1, sizeof request, stdin);
    fwrite(answer, 1, ask(make_ssl(dial(port)), request, n, answer, sizeof answer), stdout);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "";
    port = argc > 1 ? atoi(argv[1]) : 0;
    make_context();
    if (argc == 3 && (strcmp(mode, "full") == 0 || strcmp(mode, "resumed") == 0))
        shake_hands(mode[0] == 'r');
    else if (argc == 4 && strcmp(mode, "idle") == 0)
        idle(atol(argv[3]));
    else if (argc == 3 && strcmp(mode, "once") == 0)
        once();
    else
        die("usage: load_tls PORT full | resumed | idle CONNECTIONS | once");
    return 0;
}
