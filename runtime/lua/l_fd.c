/* SPDX-License-Identifier: MIT */
/* l_fd.c - a number that is closed in the end. It cannot be read or written: net.from_fd makes a connection of it. */
#include "lua/l_fd.h"

#include "base/errors.h"
#include "base/sys.h"
#include "base/sys_file.h"

#include <fcntl.h>

struct descriptor {
    const void *mark;
    int fd;
};

static const char mark = 0;

int *l_fd_new(lua_State *L)
{
    struct descriptor *d = face_new(L, FACE_META_FD, sizeof *d);
    d->mark = &mark;
    d->fd = -1;
    return &d->fd;
}

int *l_fd_test(lua_State *L, int idx)
{
    struct descriptor *d = face_test(L, idx, &mark, sizeof *d);
    return d ? &d->fd : NULL;
}

static struct descriptor *self(lua_State *L)
{
    return face_self(L, 1, &mark, sizeof(struct descriptor), "descriptor");
}

static void close_it(int *fd)
{
    if (*fd >= 0)
        sys_close(*fd);
    *fd = -1;
}

/* close() -> true; harmless twice */
static int l_close(lua_State *L)
{
    close_it(&self(L)->fd);
    return face_result(L, 0);
}

static int l_gc(lua_State *L)
{
    int *fd = l_fd_test(L, 1);
    if (fd)
        close_it(fd);
    return 0;
}

static int push_number(lua_State *L, int fd)
{
    if (fd < 0)
        return face_error(L, ERR_CLOSED);
    lua_pushinteger(L, fd);
    return 1;
}

/* number() -> the number, which still belongs to the object | nil, "closed" */
static int l_number(lua_State *L) { return push_number(L, self(L)->fd); }

/* release() -> the number, which belongs to the caller from now on | nil, "closed" */
static int l_release(lua_State *L)
{
    struct descriptor *d = self(L);
    int fd = d->fd;
    d->fd = -1;
    return push_number(L, fd);
}

static int l_is_closed(lua_State *L)
{
    lua_pushboolean(L, self(L)->fd < 0);
    return 1;
}

static int l_tostring(lua_State *L)
{
    int fd = self(L)->fd;
    if (fd < 0)
        lua_pushliteral(L, "closed descriptor");
    else
        lua_pushfstring(L, "descriptor %d", fd);
    return 1;
}

/* file_lock(path) -> a descriptor that holds the lock until it is closed | nil, err, errno: EAGAIN if somebody else has
 * it. The file is made if it is not there. Nothing waits: such a file is opened rarely, and by few. */
static int l_file_lock(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int *fd = l_fd_new(L);
    int r = *fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOCTTY | O_NOFOLLOW, 0600);
    if (r >= 0)
        r = sys_flock(*fd);
    if (r >= 0)
        return 1;
    close_it(fd);
    return face_error(L, r);
}

static const luaL_Reg functions[] = {
    {"file_lock", l_file_lock}, {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"__gc", l_gc},
    {"__tostring", l_tostring},
    {"close", l_close},
    {"is_closed", l_is_closed},
    {"number", l_number},
    {"release", l_release},
    {NULL, NULL},
};

void l_fd_open(lua_State *L)
{
    face_class(L, FACE_META_FD, "moonpark.descriptor", methods);
    face_functions(L, functions);
}
