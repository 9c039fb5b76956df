/* SPDX-License-Identifier: MIT */
/* l_trail.c - reads the Lua state as it is, perhaps in the middle of a change: under trail_try where that may fault. */
#include "lua/l_trail.h"

#include <string.h>
#include <unistd.h>

enum { LISTED = 50, FRAMES = 12 };

static void put_task(struct trail_text *text, const struct task *t)
{
    trail_put(text, "task ");
    trail_put_number(text, t->id);
}

static void put_site(struct trail_text *text, const struct task *t)
{
    if (!t->site)
        return;
    trail_put(text, ", started at ");
    trail_put(text, t->site->path);
    trail_put(text, ":");
    trail_put_number(text, (uint64_t)t->site->line);
}

void l_trail_task(struct trail_text *text, const struct task *t)
{
    put_task(text, t);
    put_site(text, t);
}

struct lua_place {
    lua_State *L;
    const char *function; /* C; NULL: not known */
    char line[LUA_IDSIZE + 16];
    struct trail_text frames; /* lines of a traceback, innermost first, those that were read */
};

static void put_line(struct trail_text *text, const lua_Debug *ar)
{
    trail_put(text, ar->short_src);
    trail_put(text, ":");
    trail_put_number(text, (uint64_t)ar->currentline);
}

/* As luaL_traceback writes it. */
static void put_frame(struct trail_text *text, const lua_Debug *ar)
{
    trail_put(text, "\n\t");
    if (*ar->what == 'C')
        trail_put(text, "[C]");
    else
        put_line(text, ar);
    trail_put(text, *ar->what == 'm' ? ": in main chunk" : ar->name ? ": in function '" : ": in a function");
    if (*ar->what != 'm' && ar->name) {
        trail_put(text, ar->name);
        trail_put(text, "'");
    }
}

/* While a C function runs that the interpreter has called, the stack is whole. It is read, never written. */
static void read_stack(void *arg)
{
    struct lua_place *place = arg;
    lua_Debug ar;
    for (int level = 0; level < FRAMES && lua_getstack(place->L, level, &ar) && lua_getinfo(place->L, "Sln", &ar);
         level++) {
        if (level == 0 && *ar.what != 'C')
            return;
        if (level == 0)
            place->function = ar.name ? ar.name : "?";
        put_frame(&place->frames, &ar);
        if (*ar.what == 'C' || *place->line)
            continue;
        struct trail_text text = {.length = 0};
        put_line(&text, &ar);
        memcpy(place->line, text.bytes, sizeof place->line - 1);
    }
}

static void put_machine(struct trail_text *text, const struct trail *trail)
{
    for (int i = 0; i < trail->count; i++) {
        trail_put(text, i == 0 ? ", in the C function " : ", called by ");
        trail_put(text, trail->names[i]);
        trail_put(text, " (");
        trail_put(text, trail->files[i]);
        trail_put(text, ")");
    }
    if (trail->compiled)
        trail_put(text, trail->count ? ", called by compiled code" : ", in compiled code");
}

void l_trail_place(struct trail_text *text, const struct task *t, char *line, size_t size)
{
    struct trail trail;
    struct lua_place place = {.L = t->L};
    trail_read(&trail, (const void *)(uintptr_t)l_trail_place);
    put_machine(text, &trail);
    bool called = !trail.compiled && trail_try(read_stack, &place) && place.function;
    if (called) {
        trail_put(text, trail.count ? ", called by Lua as " : ", in the C function ");
        trail_put(text, place.function);
        if (*place.line)
            memcpy(line, place.line, size);
    }
    if (!called && !trail.compiled && !trail.count)
        trail_put(text, ", in code that no hook interrupts, such as a finalizer");
    trail_put(text, *line ? "; its last known line is " : "; no line of it is known");
    trail_put(text, line);
    if (called) {
        trail_put(text, "\nstack traceback:");
        trail_put(text, place.frames.bytes);
    }
}

void l_trail_write(const struct trail_text *text) { (void)!write(STDERR_FILENO, text->bytes, text->length); }

static void list_tasks(void *arg)
{
    const struct ctx *cx = arg;
    int listed = 0;
    for (uint32_t slot = 0; slot < cx->slots && listed < LISTED; slot++) {
        const struct task *t = cx->tasks[slot];
        struct trail_text text = {.length = 0};
        if (!t || (t->state != TASK_PARKED && t->state != TASK_READY))
            continue;
        trail_put(&text, "  ");
        put_task(&text, t);
        trail_put(&text, t->state == TASK_PARKED ? ", parked in " : ", ready after ");
        trail_put(&text, t->wait.kind->name);
        put_site(&text, t);
        trail_put(&text, "\n");
        l_trail_write(&text);
        listed++;
    }
}

void l_trail_tasks(struct ctx *cx) { (void)trail_try(list_tasks, cx); }
