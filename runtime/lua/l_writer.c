/* SPDX-License-Identifier: MIT */
/* l_writer.c - writers of lines: those of the standard output and error belong to the context, others to a handle. */
#include "lua/l_writer.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/sys.h"
#include "base/sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE (2 * NS_PER_SECOND) /* at the end */

enum { MOST = 1 << 20 };         /* bytes that may wait */
enum { PERMISSIONS = 0640 };     /* of a new file */

struct writer_face {
    const void *mark;
    struct writer *w; /* its own; NULL: it is closed, or a standard one */
    int fd;           /* a standard one's, else 0 */
};

static const char mark = 0;

/* ---- the standard output and error ---- */

/* NULL: there is none any more. */
static struct writer *standard(struct ctx *cx, int fd) { return cx->writers[fd - 1]; }

static const char *const forms[] = {
    "moonpark: %n lines for the standard output were lost: %r\n",
    "moonpark: %n lines for the standard error were lost: %r\n",
};

/* Early, so that the report of an error needs little memory. Returns false if there is none. */
static bool open_standard(struct ctx *cx)
{
    struct writer *errors = NULL;
    for (int fd = STDERR_FILENO; fd >= STDOUT_FILENO; fd--) {
        struct writer *w = cx->writers[fd - 1] = writer_open(fd, NULL, MOST);
        errors = errors ? errors : w;
        if (!w || writer_tell(w, forms[fd - 1], errors) < 0)
            return false;
    }
    return true;
}

static int64_t patience_of(const struct ctx *cx, int64_t inside, int64_t outside) { return cx->L ? inside : outside; }

/* Without a writer, as in a finalizer while the Lua state closes, it writes at once. */
int l_writer_put(struct ctx *cx, int fd, const struct iovec *parts, int count, int64_t patience)
{
    struct writer *w = standard(cx, fd);
    for (int i = 0; !w && i < count; i++)
        (void)sys_write(fd, parts[i].iov_base, parts[i].iov_len);
    return w ? writer_put(w, parts, count, patience_of(cx, patience, PATIENCE)) : 0;
}

void l_writer_finish(struct ctx *cx)
{
    int64_t until = clock_real() + PATIENCE;
    for (size_t i = 0; i < ARRAY_LEN(cx->writers); i++)
        if (cx->writers[i])
            (void)writer_finish(cx->writers[i], clock_real() < until ? until - clock_real() : 0);
}

/* The standard error's is last: the others tell it of lost lines. */
void l_writer_close(struct ctx *cx)
{
    for (size_t i = 0; i < ARRAY_LEN(cx->writers); i++) {
        writer_close(cx->writers[i], PATIENCE);
        cx->writers[i] = NULL;
    }
}

/* ---- handles ---- */

static struct writer_face *new_face(lua_State *L)
{
    struct writer_face *f = face_new(L, FACE_META_WRITER, sizeof *f);
    f->mark = &mark;
    return f;
}

static struct writer_face *self(lua_State *L)
{
    struct writer_face *f = face_self(L, 1, &mark, sizeof *f, "writer");
    if (!f->w && !f->fd)
        luaL_error(L, "the writer is closed");
    return f;
}

/* NULL: there is none any more. */
static struct writer *writer_of(lua_State *L, const struct writer_face *f)
{
    return f->fd ? standard(face_ctx(L), f->fd) : f->w;
}

/* writer_standard(fd: 1 | 2) -> writer */
static int l_standard(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    luaL_argcheck(L, fd == STDOUT_FILENO || fd == STDERR_FILENO, 1, "1 or 2 expected");
    new_face(L)->fd = fd;
    return 1;
}

/* Puts the absolute path into `to`. */
static int absolute(const char *path, char to[PATH_MAX])
{
    size_t n = 0;
    if (*path != '/') {
        if (!getcwd(to, PATH_MAX))
            return -errno;
        n = strlen(to);
        if (n + 1 < PATH_MAX)
            to[n++] = '/';
    }
    if (n + strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(to + n, path);
    return 0;
}

/* writer_file(path, most: bytes | nil) -> writer | nil, err, errno. The file is appended to. */
static int l_file(lua_State *L)
{
    char path[PATH_MAX];
    int fd, r = absolute(luaL_checkstring(L, 1), path);
    size_t most = face_size(L, 2, 1, MOST);
    if (r < 0)
        return face_error(L, r);
    struct writer_face *f = new_face(L);
    fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, PERMISSIONS);
    if (fd < 0)
        return face_error(L, fd);
    (void)fcntl(fd, F_SETFL, O_APPEND); /* only opening a FIFO without a reader must not wait */
    f->w = writer_open(fd, path, most);
    if (f->w)
        return 1;
    sys_close(fd);
    return face_error(L, -ENOMEM);
}

/* put(line, patience: seconds | nil, before: string | nil) -> whether it is not lost: `before`, the line and an end.
 * It waits until the line is written, if no other was waiting: for that long, at most; outside of the loop for some
 * seconds. nil: not at all, and outside of the loop as long as it takes. */
static int l_put(lua_State *L)
{
    const struct writer_face *f = self(L);
    struct ctx *cx = face_ctx(L);
    size_t n, m;
    const char *line = luaL_checklstring(L, 2, &n), *before = luaL_optlstring(L, 4, "", &m);
    struct iovec parts[] = {{(void *)(uintptr_t)before, m}, {(void *)(uintptr_t)line, n}, {"\n", 1}};
    int64_t patience = lua_isnoneornil(L, 3) ? 0 : face_timeout(L, 3);
    struct writer *w = writer_of(L, f);
    patience = patience_of(cx, patience, patience ? PATIENCE : -1);
    int r = w ? writer_put(w, parts, 3, patience) : l_writer_put(cx, f->fd, parts, 3, 0);
    lua_pushboolean(L, r == 0);
    return 1;
}

/* flush(seconds) -> whether nothing is pending */
static int l_flush(lua_State *L)
{
    struct writer *w = writer_of(L, self(L));
    lua_pushboolean(L, !w || writer_flush(w, face_timeout(L, 2)));
    return 1;
}

/* tell(form, to: writer | nil): what to write about lost lines, and where: here if `to` is nil */
static int l_tell(lua_State *L)
{
    struct writer *w = writer_of(L, self(L));
    const char *form = luaL_checkstring(L, 2);
    const struct writer_face *to = lua_isnoneornil(L, 3) ? NULL : face_self(L, 3, &mark, sizeof *to, "writer");
    luaL_argcheck(L, !to || to->fd, 3, "a standard one expected");
    return face_result(L, w ? writer_tell(w, form, to ? writer_of(L, to) : w) : 0);
}

/* limit(bytes): how many may wait */
static int l_limit(lua_State *L)
{
    struct writer *w = writer_of(L, self(L));
    size_t most = face_size(L, 2, 1, MOST);
    if (w)
        writer_limit(w, most);
    return 0;
}

/* counts() -> bytes written, lines lost, bytes pending, the last failure | nil */
static int l_counts(lua_State *L)
{
    struct writer *w = writer_of(L, self(L));
    struct writer_counts counts = {0};
    if (w)
        writer_count(w, &counts);
    lua_pushnumber(L, (lua_Number)counts.written);
    lua_pushnumber(L, (lua_Number)counts.lost);
    lua_pushnumber(L, (lua_Number)counts.pending);
    if (!counts.error)
        return 3;
    lua_pushstring(L, errors_text(counts.error));
    return 4;
}

/* close(): writes what is pending, for a bounded time; harmless twice */
static int l_close(lua_State *L)
{
    struct writer_face *f = face_test(L, 1, &mark, sizeof *f);
    struct writer *w = f ? f->w : NULL;
    if (w)
        f->w = NULL;
    writer_close(w, PATIENCE);
    return 0;
}

/* writer_flush(seconds) -> has all that the standard ones have been given been written */
static int l_flush_standard(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    int64_t patience = face_timeout(L, 1);
    bool done = true;
    for (size_t i = 0; i < ARRAY_LEN(cx->writers); i++)
        done = (!cx->writers[i] || writer_flush(cx->writers[i], patience)) && done;
    lua_pushboolean(L, done);
    return 1;
}

/* writer_is_terminal(fd) -> boolean */
static int l_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static const luaL_Reg methods[] = {
    {"__gc", l_close}, {"close", l_close}, {"counts", l_counts}, {"flush", l_flush},
    {"limit", l_limit}, {"put", l_put}, {"tell", l_tell}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"writer_file", l_file}, {"writer_flush", l_flush_standard}, {"writer_is_terminal", l_is_terminal},
    {"writer_standard", l_standard}, {NULL, NULL},
};

void l_writer_open(lua_State *L)
{
    if (!open_standard(face_ctx(L)))
        luaL_error(L, "not enough memory");
    face_class(L, FACE_META_WRITER, "moonpark.writer", methods);
    face_functions(L, functions);
}
