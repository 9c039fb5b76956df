/* SPDX-License-Identifier: MIT */
/* l_fs.c - the Lua face of files: each operation is a job of a helper thread, and the task waits for it.
 * The arguments are copied into the job, so a cancelled task can leave at once; the job's owner is a userdata. */
#include "lua/faces.h"

#include "base/errors.h"
#include "fs/file.h"
#include "fs/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { READ_MAX_DEFAULT = 67108864, PIECE_DEFAULT = 65536, NEW_FILE = 0644 };

static const char call_mark = 0, file_mark = 0;

/* A running operation. */
struct call {
    const void *mark;
    struct loop *loop;
    struct job *job; /* a file_job's; NULL once freed */
};

struct file_face {
    const void *mark;
    struct file *file;  /* NULL once closed */
    struct list link;   /* among the context's open ones */
    const struct site *site;
    uint64_t id, creator; /* as struct conn's */
};

static struct file_job *job_of(const struct call *c) { return container_of(c->job, struct file_job, job); }

static struct file_face *self(lua_State *L)
{
    return face_self(L, 1, &file_mark, sizeof(struct file_face), "file");
}

/* ---- results ---- */

static void set_number(lua_State *L, const char *name, lua_Number value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_type(lua_State *L, char type)
{
    lua_pushstring(L, folder_type_name(type)); /* nil if it is not known */
    lua_setfield(L, -2, "type");
}

static int push_info(lua_State *L, const struct file_info *info)
{
    lua_createtable(L, 0, 8);
    set_type(L, folder_type(info->mode));
    set_number(L, "size", info->size);
    set_number(L, "mtime", info->modified);
    set_number(L, "mode", info->mode & 07777);
    set_number(L, "inode", info->inode);
    set_number(L, "uid", info->uid);
    set_number(L, "gid", info->gid);
    return 1;
}

/* The entry at `at` with its type, and with its size and time if the list has them and the entry is still there. */
static void push_entry(lua_State *L, const char *at, enum folder_detail detail)
{
    struct folder_sizes sizes = {.size = -1};
    lua_createtable(L, 0, detail == FOLDER_SIZES ? 4 : 2);
    lua_pushstring(L, at + 1);
    lua_setfield(L, -2, "name");
    set_type(L, *at);
    if (detail == FOLDER_SIZES)
        memcpy(&sizes, folder_next(at, FOLDER_TYPES), sizeof sizes);
    if (sizes.size < 0)
        return;
    set_number(L, "size", sizes.size);
    set_number(L, "mtime", sizes.modified);
}

static int push_list(lua_State *L, const struct file_job *j)
{
    const char *at = buf_at(&j->bytes);
    lua_createtable(L, (int)base_min(j->count, INT32_MAX), 0);
    for (size_t i = 1; i <= j->count; i++, at = folder_next(at, j->detail)) {
        if (j->detail == FOLDER_NAMES)
            lua_pushstring(L, at + 1);
        else
            push_entry(L, at, j->detail);
        lua_rawseti(L, -2, (int)i);
    }
    return 1;
}

static int push_bytes(lua_State *L, const struct file_job *j)
{
    size_t n = buf_len(&j->bytes);
    lua_pushlstring(L, n ? buf_at(&j->bytes) : "", n);
    return 1;
}

/* The object, which was made before the operation, takes over the file. */
static int push_file(lua_State *L, struct task *t, struct file_job *j)
{
    struct operation *op = &t->op;
    struct ctx *cx = container_of(((struct call *)t->wait.object)->loop, struct ctx, loop);
    int place = op->base + *OPERATION(t, int); /* the object's index among the arguments */
    struct file_face *f = lua_touserdata(op->stack, place);
    lua_pushvalue(op->stack, place);
    if (op->stack != L)
        lua_xmove(op->stack, L, 1);
    f->file = j->file;
    j->file = NULL;
    list_push(&cx->files, &f->link);
    return 1;
}

static int push_number(lua_State *L, lua_Number n)
{
    lua_pushnumber(L, n);
    return 1;
}

static int push_success(lua_State *L, struct task *t, struct file_job *j)
{
    switch (j->op) {
    case FILE_READ:
    case FILE_GET:
    case FILE_GET_AT: return push_bytes(L, j);
    case FILE_STAT: return push_info(L, &j->info);
    case FILE_LIST: return push_list(L, j);
    case FILE_OPEN: return push_file(L, t, j);
    case FILE_PUT:
    case FILE_PUT_AT: return push_number(L, (lua_Number)j->count);
    case FILE_SIZE:
    case FILE_SEEK: return push_number(L, (lua_Number)j->offset);
    default: return face_result(L, 0);
    }
}

/* nil, text, errno; for a write also how many bytes were written. */
static int push_failure(lua_State *L, const struct file_job *j, int r)
{
    int n = face_error(L, r);
    if (j->op != FILE_PUT && j->op != FILE_PUT_AT)
        return n;
    if (n == 2)
        lua_pushnil(L);
    lua_pushnumber(L, (lua_Number)j->count);
    return 4;
}

/* If it was cancelled there is no job any more. */
static int push(lua_State *L, struct task *t)
{
    struct call *c = t->wait.object;
    int r = t->wait.result;
    if (!c->job)
        return face_error(L, r);
    struct file_job *j = job_of(c);
    int n = r < 0 ? push_failure(L, j, r) : push_success(L, t, j);
    pool_release(c->loop->pool, c->job);
    return n;
}

/* ---- waiting ---- */

static void describe(const struct task *t, char *text, size_t n)
{
    const struct call *c = t->wait.object;
    const struct file_job *j = c->job ? job_of(c) : NULL;
    if (!j)
        return;
    snprintf(text, n, "%s%s%s", j->path, j->to ? " to " : "", j->to ? j->to : "");
}

/* The wait ended before the job did: the job continues alone. */
static void leave(struct task *t)
{
    struct call *c = t->wait.object;
    if (c->job && c->job->under_way)
        pool_release(c->loop->pool, c->job);
}

static void done(struct job *job)
{
    const struct file_job *j = container_of(job, struct file_job, job);
    sched_wake(j->waiter, j->result);
}

#define KIND(words) {.name = (words), .push = push, .undo = leave, .describe = describe}

static const struct wait_kind kinds[FILE_OPS] = {
    [FILE_READ] = KIND("fs.read"),       [FILE_WRITE] = KIND("fs.write"),       [FILE_APPEND] = KIND("fs.append"),
    [FILE_STAT] = KIND("fs.stat"),       [FILE_LIST] = KIND("fs.list"),         [FILE_RENAME] = KIND("fs.rename"),
    [FILE_REMOVE] = KIND("fs.remove"),   [FILE_MKDIR] = KIND("fs.mkdir"),       [FILE_OPEN] = KIND("fs.open"),
    [FILE_GET] = KIND("file:read"),      [FILE_GET_AT] = KIND("file:read_at"),  [FILE_PUT] = KIND("file:write"),
    [FILE_PUT_AT] = KIND("file:write_at"), [FILE_SIZE] = KIND("file:size"),     [FILE_SEEK] = KIND("file:seek"),
    [FILE_SYNC] = KIND("file:sync"),     [FILE_CLOSE] = KIND("file:close"),
};

/* Pushes a new call; before its job is made, because it may raise. */
static struct call *begin(lua_State *L, struct ctx *cx)
{
    struct call *c = face_new(L, FACE_META_CALL, sizeof *c);
    c->mark = &call_mark;
    c->loop = &cx->loop;
    return c;
}

/* Hands j (NULL: no memory) to the threads and parks. The call is on top. */
static int order(lua_State *L, struct task *t, struct call *c, struct file_job *j)
{
    if (!j)
        return face_return(L, t, face_error(L, -ENOMEM));
    unsigned flags = WAIT_OUTSIDE | (j->op == FILE_CLOSE ? WAIT_SHIELDED : 0);
    int r = sched_park(t, &kinds[j->op], c, 0, flags);
    if (r < 0) {
        file_job_free(j);
        return face_return(L, t, face_error(L, r));
    }
    j->waiter = t;
    j->job.done = done;
    r = loop_submit(c->loop, &j->job, &c->job);
    if (r < 0) {
        file_job_free(j);
        sched_wake(t, flags & WAIT_SHIELDED ? 0 : r); /* freeing the job has closed it */
    }
    lua_insert(L, 1);
    return face_park(L, t);
}

static int l_call_gc(lua_State *L)
{
    struct call *c = face_test(L, 1, &call_mark, sizeof *c);
    if (c && c->job)
        pool_release(c->loop->pool, c->job);
    return 0;
}

/* ---- on paths; fs.lua has checked the arguments ---- */

static struct file_job *with_bytes(struct file_job *j, const char *bytes, size_t n)
{
    if (!j || buf_append(&j->bytes, bytes, n) == 0)
        return j;
    file_job_free(j);
    return NULL;
}

static int permissions(lua_State *L, int idx, int otherwise)
{
    return (int)luaL_optinteger(L, idx, otherwise);
}

/* fs_read(path, max) -> bytes | nil, err, errno */
static int l_read(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    size_t limit = face_size(L, 2, 0, READ_MAX_DEFAULT);
    struct task *t = face_task(L, cx);
    struct call *c = begin(L, cx);
    struct file_job *j = file_job_path(FILE_READ, path, NULL);
    if (j)
        j->limit = limit;
    return order(L, t, c, j);
}

static int write_path(lua_State *L, enum file_op op)
{
    struct ctx *cx = face_ctx(L);
    size_t n;
    const char *path = luaL_checkstring(L, 1);
    const char *bytes = luaL_checklstring(L, 2, &n);
    int bits = permissions(L, 3, -1);
    bool flag = lua_toboolean(L, 4);
    struct task *t = face_task(L, cx);
    struct call *c = begin(L, cx);
    struct file_job *j = with_bytes(file_job_path(op, path, NULL), bytes, n);
    if (j) {
        j->permissions = bits;
        j->flag = flag;
    }
    return order(L, t, c, j);
}

static int l_write(lua_State *L) { return write_path(L, FILE_WRITE); }   /* fs_write(path, bytes, mode, atomic) */
static int l_append(lua_State *L) { return write_path(L, FILE_APPEND); } /* fs_append(path, bytes, mode) */

/* (path, flag); of a list: (path, types, sizes) */
static int flagged(lua_State *L, enum file_op op)
{
    struct ctx *cx = face_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    bool flag = lua_toboolean(L, 2);
    struct task *t = face_task(L, cx);
    struct call *c = begin(L, cx);
    struct file_job *j = file_job_path(op, path, NULL);
    if (j) {
        j->flag = flag;
        j->detail = (uint8_t)(lua_toboolean(L, 3) ? FOLDER_SIZES : flag ? FOLDER_TYPES : FOLDER_NAMES);
    }
    return order(L, t, c, j);
}

static int l_stat(lua_State *L) { return flagged(L, FILE_STAT); } /* fs_stat(path, follow) */
static int l_list(lua_State *L) { return flagged(L, FILE_LIST); } /* fs_list(path, types, sizes) */
static int l_remove(lua_State *L) { return flagged(L, FILE_REMOVE); } /* fs_remove(path, recursive) */

/* fs_rename(from, to) */
static int l_rename(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
    struct task *t = face_task(L, cx);
    struct call *c = begin(L, cx);
    return order(L, t, c, file_job_path(FILE_RENAME, from, to));
}

/* fs_mkdir(path, mode, parents) */
static int l_mkdir(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    int bits = permissions(L, 2, 0755);
    bool parents = lua_toboolean(L, 3);
    struct task *t = face_task(L, cx);
    struct call *c = begin(L, cx);
    struct file_job *j = file_job_path(FILE_MKDIR, path, NULL);
    if (j) {
        j->permissions = bits;
        j->flag = parents;
    }
    return order(L, t, c, j);
}

static int open_flags(lua_State *L, int idx)
{
    static const char *const names[] = {"r", "r+", "w", "w+", "a", "a+", "wx", "w+x", NULL};
    static const int flags[] = {
        O_RDONLY, O_RDWR, O_WRONLY | O_CREAT | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC, O_WRONLY | O_CREAT | O_APPEND,
        O_RDWR | O_CREAT | O_APPEND, O_WRONLY | O_CREAT | O_EXCL, O_RDWR | O_CREAT | O_EXCL,
    };
    return flags[luaL_checkoption(L, idx, "r", names)];
}

/* fs_open(path, mode, permissions) -> file | nil, err, errno */
static int l_open(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    int flags = open_flags(L, 2), bits = permissions(L, 3, NEW_FILE);
    struct task *t = face_task(L, cx);
    struct file_face *f = face_new(L, FACE_META_FILE, sizeof *f);
    f->mark = &file_mark;
    list_init(&f->link);
    if (cx->trace_conns) {
        f->site = face_site(cx, L);
        f->id = ++cx->last_id;
        f->creator = face_running_id(cx);
    }
    struct call *c = begin(L, cx);
    struct file_job *j = file_job_path(FILE_OPEN, path, NULL);
    if (j) {
        j->open_flags = flags;
        j->permissions = bits;
    }
    *OPERATION(t, int) = lua_gettop(L) - 1; /* the object's index, once the call is first */
    return order(L, t, c, j);
}

/* ---- on open files ---- */

/* Makes a job on the file (NULL: no memory) and pushes its call. False if the file is closed. */
static bool file_job(lua_State *L, struct file_face *f, enum file_op op, struct call **c, struct file_job **j)
{
    if (!f->file)
        return false;
    *c = begin(L, face_ctx(L));
    *j = file_job_on(op, f->file);
    return true;
}

static int closed(lua_State *L, struct task *t) { return face_return(L, t, face_error(L, ERR_CLOSED)); }

static int ask(lua_State *L, enum file_op op, int64_t offset, size_t limit, int whence)
{
    struct file_face *f = self(L);
    struct task *t = face_task(L, face_ctx(L));
    struct call *c;
    struct file_job *j;
    if (!file_job(L, f, op, &c, &j))
        return closed(L, t);
    if (j) {
        j->offset = offset;
        j->limit = limit;
        j->whence = whence;
    }
    return order(L, t, c, j);
}

static int64_t check_offset(lua_State *L)
{
    (void)self(L);
    (void)face_number(L, 2);
    return (int64_t)face_size(L, 2, 0, 0);
}

/* read([n]) -> 1..n bytes | nil, err, errno */
static int l_file_read(lua_State *L)
{
    (void)self(L);
    return ask(L, FILE_GET, 0, face_size(L, 2, 1, PIECE_DEFAULT), 0);
}

/* read_at(offset, n) -> n bytes, fewer only at the end of the file | nil, err, errno */
static int l_file_read_at(lua_State *L)
{
    int64_t offset = check_offset(L);
    (void)face_number(L, 3);
    return ask(L, FILE_GET_AT, offset, face_size(L, 3, 1, 1), 0);
}

static int put(lua_State *L, enum file_op op, int idx, int64_t offset)
{
    struct file_face *f = self(L);
    size_t n;
    const char *bytes = luaL_checklstring(L, idx, &n);
    struct task *t = face_task(L, face_ctx(L));
    struct call *c;
    struct file_job *j;
    if (!file_job(L, f, op, &c, &j))
        return closed(L, t);
    j = with_bytes(j, bytes, n);
    if (j)
        j->offset = offset;
    return order(L, t, c, j);
}

/* write(bytes), write_at(offset, bytes) -> how many | nil, err, errno, how many before it failed */
static int l_file_write(lua_State *L) { return put(L, FILE_PUT, 2, 0); }
static int l_file_write_at(lua_State *L)
{
    int64_t offset = check_offset(L);
    return put(L, FILE_PUT_AT, 3, offset);
}

static int l_file_size(lua_State *L) { return ask(L, FILE_SIZE, 0, 0, 0); } /* size() -> bytes | nil, err, errno */
static int l_file_sync(lua_State *L) { return ask(L, FILE_SYNC, 0, 0, 0); } /* sync() -> true | nil, err, errno */

/* seek([whence[, offset]]) -> the new position | nil, err, errno */
static int l_file_seek(lua_State *L)
{
    static const char *const names[] = {"set", "cur", "end", NULL};
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    (void)self(L);
    int whence = whences[luaL_checkoption(L, 2, "cur", names)];
    lua_Number offset = face_number_or(L, 3, 0);
    luaL_argcheck(L, offset == floor(offset) && fabs(offset) <= 9e15, 3, "whole number expected");
    return ask(L, FILE_SEEK, (int64_t)offset, 0, whence);
}

static void let_go(struct file_face *f)
{
    struct file *file = f->file;
    list_del(&f->link);
    f->file = NULL;
    file_drop(file);
}

/* close() -> true | nil, err, errno. If operations are running, the last one closes the descriptor; outside
 * tasks, and without memory for a job, it is closed right here. */
static int l_file_close(lua_State *L)
{
    struct file_face *f = self(L);
    struct ctx *cx = face_ctx(L);
    struct call *c;
    struct file_job *j = NULL;
    bool waits = f->file && file_is_alone(f->file) && face_running(cx) && lua_isyieldable(L);
    struct task *t = waits ? face_task(L, cx) : NULL;
    if (t)
        (void)file_job(L, f, FILE_CLOSE, &c, &j);
    if (f->file)
        let_go(f);
    return j ? order(L, t, c, j) : face_result(L, 0);
}

static int l_file_gc(lua_State *L)
{
    struct file_face *f = face_test(L, 1, &file_mark, sizeof *f);
    if (f && f->file)
        let_go(f);
    return 0;
}

/* fd() -> the descriptor | nil, "closed" */
static int l_file_fd(lua_State *L)
{
    struct file_face *f = self(L);
    if (!f->file)
        return face_error(L, ERR_CLOSED);
    lua_pushinteger(L, f->file->fd);
    return 1;
}

static int l_file_is_closed(lua_State *L)
{
    lua_pushboolean(L, self(L)->file == NULL);
    return 1;
}

static int l_file_tostring(lua_State *L)
{
    struct file_face *f = self(L);
    if (f->file)
        lua_pushfstring(L, "file %s", f->file->path);
    else
        lua_pushliteral(L, "closed file");
    return 1;
}

/* ---- reports ---- */

/* The n-th open file; walks the list again each time, because building tables runs finalizers. */
static const struct file_face *nth(const struct ctx *cx, size_t n)
{
    for (const struct list *l = cx->files.next; l != &cx->files; l = l->next)
        if (n-- == 0)
            return container_of(l, struct file_face, link);
    return NULL;
}

/* files() -> an array of {text, fd, id, creator, site} of the open files */
static int l_files(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    lua_newtable(L);
    const struct file_face *f;
    for (size_t i = 0; (f = nth(cx, i)); i++) {
        char text[512]; /* f may be garbage, and collected by the first allocation here */
        const struct site *site = f->site;
        uint64_t id = f->id, creator = f->creator;
        int fd = f->file->fd;
        snprintf(text, sizeof text, "file %s", f->file->path);
        site_push_made(L, text, fd, id, creator, site);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* close_file(id): closes that one */
static int l_close_file(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    lua_Number id = face_number(L, 1);
    for (struct list *l = cx->files.next; l != &cx->files; l = l->next) {
        struct file_face *f = container_of(l, struct file_face, link);
        if ((lua_Number)f->id != id)
            continue;
        let_go(f);
        break;
    }
    return 0;
}

static const luaL_Reg call_methods[] = {{"__gc", l_call_gc}, {NULL, NULL}};

static const luaL_Reg file_methods[] = {
    {"__gc", l_file_gc},         {"__tostring", l_file_tostring}, {"close", l_file_close},
    {"fd", l_file_fd},           {"is_closed", l_file_is_closed}, {"read", l_file_read},
    {"read_at", l_file_read_at}, {"seek", l_file_seek},           {"size", l_file_size},
    {"sync", l_file_sync},       {"write", l_file_write},         {"write_at", l_file_write_at},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"close_file", l_close_file}, {"files", l_files},         {"fs_append", l_append}, {"fs_list", l_list},
    {"fs_mkdir", l_mkdir},        {"fs_open", l_open},        {"fs_read", l_read},     {"fs_remove", l_remove},
    {"fs_rename", l_rename},      {"fs_stat", l_stat},        {"fs_write", l_write},   {NULL, NULL},
};

void l_fs_open(lua_State *L)
{
    list_init(&face_ctx(L)->files);
    face_class(L, FACE_META_CALL, "moonpark.call", call_methods);
    face_class(L, FACE_META_FILE, "moonpark.file", file_methods);
    face_functions(L, functions);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_FILE);
    lua_setfield(L, -2, "file_class");
}
