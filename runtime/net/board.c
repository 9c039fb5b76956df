/* SPDX-License-Identifier: MIT */
/* board.c - each decision is made from one pass over the slots. Two workers that hold at the same time both publish it
 * first and look then, so that one of them sees that nobody accepts. */
#define _GNU_SOURCE
#include "net/board.h"

#include "base/sys.h"
#include "base/sys_memory.h"

#include <errno.h>
#include <string.h>

enum { MAGIC = 0x6d706c31 };

/* What one pass has found, of the slots in use that are not AWAY. */
struct view {
    uint32_t present, accepting; /* how many */
    uint32_t open;               /* the fewest */
    uint32_t accepting_open;     /* the fewest of those that accept, save the one that looks */
    uint32_t balance, most;      /* the least and the greatest */
};

static uint32_t get(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static void set(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }
static void add(uint32_t *word, uint32_t by) { (void)__atomic_add_fetch(word, by, __ATOMIC_SEQ_CST); }

/* The counts go on beyond 32 bits: only their distance means something. */
static int32_t distance(uint32_t ahead, uint32_t behind) { return (int32_t)(ahead - behind); }

enum board_state board_state(const struct board *b, uint32_t slot)
{
    return (enum board_state)get(&b->slot[slot].state);
}

bool board_change(struct board *b, uint32_t slot, enum board_state from, enum board_state to)
{
    uint32_t expected = from;
    return __atomic_compare_exchange_n(&b->slot[slot].state, &expected, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool counts(enum board_state s) { return s == BOARD_ACCEPTING || s == BOARD_HOLDING; }

static struct view look(const struct board *b, uint32_t from)
{
    struct view v = {.open = UINT32_MAX, .accepting_open = UINT32_MAX};
    for (uint32_t i = 0; i < b->slots; i++) {
        enum board_state state = board_state(b, i);
        if (!counts(state))
            continue;
        uint32_t open = get(&b->slot[i].open), balance = get(&b->slot[i].balance);
        if (v.present++ == 0 || distance(balance, v.balance) < 0)
            v.balance = balance;
        if (v.present == 1 || distance(balance, v.most) > 0)
            v.most = balance;
        v.open = open < v.open ? open : v.open;
        if (state != BOARD_ACCEPTING || i == from)
            continue;
        v.accepting++;
        v.accepting_open = open < v.accepting_open ? open : v.accepting_open;
    }
    return v;
}

/* v is seen from the slot. */
static bool is_ahead(const struct board *b, uint32_t slot, const struct view *v, int32_t margin)
{
    uint32_t open = get(&b->slot[slot].open);
    if (v->present == 0)
        return false;
    if (distance(open, v->open) > BOARD_OPEN)
        return true;
    if (v->accepting == 0)
        return false;
    uint32_t fewer = open < v->accepting_open ? v->accepting_open - open : 0;
    int32_t lead = distance(get(&b->slot[slot].balance), v->balance);
    return lead > margin + BOARD_WORTH * (int32_t)base_min(fewer, BOARD_LAG);
}

bool board_is_ahead(const struct board *b, uint32_t slot)
{
    struct view v = look(b, slot);
    return is_ahead(b, slot, &v, board_state(b, slot) == BOARD_HOLDING ? BOARD_AGAIN : BOARD_BALANCE);
}

/* Of those in that state the one with the fewest open, save `except`; BOARD_SLOTS: there is none. */
static uint32_t least(const struct board *b, enum board_state state, uint32_t except)
{
    uint32_t best = BOARD_SLOTS;
    for (uint32_t i = 0; i < b->slots; i++) {
        if (i == except || board_state(b, i) != state)
            continue;
        if (best == BOARD_SLOTS || get(&b->slot[i].open) < get(&b->slot[best].open))
            best = i;
    }
    return best;
}

uint32_t board_release(struct board *b)
{
    struct view v = look(b, BOARD_SLOTS);
    for (uint32_t i = 0; i < b->slots; i++)
        if (board_state(b, i) == BOARD_HOLDING && !is_ahead(b, i, &v, BOARD_AGAIN) &&
            board_change(b, i, BOARD_HOLDING, BOARD_ACCEPTING))
            return i;
    return BOARD_SLOTS;
}

bool board_hold(struct board *b, uint32_t slot, uint32_t *wake)
{
    *wake = BOARD_SLOTS;
    if (!board_is_ahead(b, slot) || !board_change(b, slot, BOARD_ACCEPTING, BOARD_HOLDING))
        return false;
    while (least(b, BOARD_ACCEPTING, slot) == BOARD_SLOTS) {
        uint32_t holder = least(b, BOARD_HOLDING, BOARD_SLOTS);
        if (holder == BOARD_SLOTS)
            break; /* somebody has just changed ours */
        if (!board_change(b, holder, BOARD_HOLDING, BOARD_ACCEPTING))
            continue;
        if (holder != slot)
            *wake = holder;
        break;
    }
    return board_state(b, slot) == BOARD_HOLDING;
}

uint32_t board_successor(struct board *b, uint32_t slot)
{
    uint32_t next = least(b, BOARD_ACCEPTING, slot);
    if (next != BOARD_SLOTS)
        return next;
    next = least(b, BOARD_HOLDING, slot);
    if (next != BOARD_SLOTS)
        (void)board_change(b, next, BOARD_HOLDING, BOARD_ACCEPTING); /* if not, it accepts already */
    return next != BOARD_SLOTS ? next : least(b, BOARD_AWAY, slot);
}

void board_give_up(struct board *b, void (*told)(void *by, uint32_t slot), void *by)
{
    for (uint32_t i = 0; i < b->slots; i++)
        if (board_change(b, i, BOARD_ACCEPTING, BOARD_AWAY)) {
            add(&b->slot[i].stuck, 1);
            told(by, i);
        }
}

uint32_t board_progress(const struct board *b)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < b->slots; i++)
        sum += get(&b->slot[i].accepted);
    return sum;
}

uint32_t board_rank(const struct board *b, uint32_t slot)
{
    uint32_t rank = 0;
    for (uint32_t i = 0; i < slot; i++)
        rank += counts(board_state(b, i));
    return rank;
}

/* ---- one's own slot ---- */

/* Is no further behind that than BOARD_LAG. */
static void catch_up(struct board_slot *own, uint32_t balance)
{
    if (distance(balance, get(&own->balance)) > BOARD_LAG)
        set(&own->balance, balance - BOARD_LAG);
}

void board_return(struct board *b, uint32_t slot)
{
    if (board_state(b, slot) != BOARD_AWAY)
        return;
    struct view v = look(b, slot);
    if (v.present > 0)
        catch_up(&b->slot[slot], v.balance);
    (void)board_change(b, slot, BOARD_AWAY, BOARD_ACCEPTING);
}

void board_accepted(struct board *b, uint32_t slot)
{
    struct view v = look(b, slot);
    board_return(b, slot);
    if (v.present > 0)
        catch_up(&b->slot[slot], v.most);
    add(&b->slot[slot].open, 1);
    add(&b->slot[slot].accepted, 1);
    add(&b->slot[slot].balance, 1);
}

void board_closed(struct board *b, uint32_t slot) { add(&b->slot[slot].open, (uint32_t)-1); }
void board_woken(struct board *b, uint32_t slot) { add(&b->slot[slot].woken, 1); }

int board_join(struct board *b, uint32_t slot, uint32_t pid)
{
    uint32_t nobody = 0;
    if (!__atomic_compare_exchange_n(&b->slot[slot].pid, &nobody, pid, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return -EBUSY;
    set(&b->slot[slot].state, BOARD_AWAY);
    return 0;
}

/* The state first: nobody compares with a slot that is being emptied. The pid last: only then is it free. */
void board_leave(struct board *b, uint32_t slot)
{
    struct board_slot *own = &b->slot[slot];
    set(&own->state, BOARD_ABSENT);
    set(&own->open, 0);
    set(&own->accepted, 0);
    set(&own->balance, 0);
    set(&own->woken, 0);
    set(&own->stuck, 0);
    set(&own->pid, 0);
}

/* ---- the segment ---- */

static size_t size_of(uint32_t slots) { return sizeof(struct board) + slots * sizeof(struct board_slot); }

static int map(int fd, size_t n, struct board **b)
{
    void *at;
    int r = sys_map(&at, fd, n);
    if (r == 0)
        *b = at;
    return r;
}

static int write_head(int fd, uint32_t slots)
{
    struct board *b = NULL;
    int r = map(fd, size_of(slots), &b);
    if (r < 0)
        return r;
    b->slots = slots;
    b->magic = MAGIC;
    sys_unmap(b, size_of(slots));
    return 0;
}

int board_make(uint32_t slots)
{
    must(slots >= 1 && slots <= BOARD_SLOTS);
    int fd = sys_memfd("moonpark load", size_of(slots));
    if (fd < 0)
        return fd;
    int r = write_head(fd, slots);
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

int board_map(int fd, struct board **out)
{
    int64_t n = sys_memfd_size(fd);
    if (n < (int64_t)sizeof(struct board) || n > (int64_t)size_of(BOARD_SLOTS))
        return n < 0 ? (int)n : -EINVAL;
    struct board *b = NULL;
    int r = map(fd, (size_t)n, &b);
    if (r < 0)
        return r;
    if (b->magic == MAGIC && (int64_t)size_of(b->slots) == n) {
        *out = b;
        return 0;
    }
    sys_unmap(b, (size_t)n);
    return -EINVAL;
}

void board_unmap(struct board *b) { sys_unmap(b, size_of(b->slots)); }

int board_read(int fd, struct board_slot slots[static BOARD_SLOTS])
{
    struct board *b;
    int r = board_map(fd, &b);
    if (r < 0)
        return r;
    int count = (int)b->slots;
    memcpy(slots, b->slot, (size_t)count * sizeof slots[0]);
    board_unmap(b);
    return count;
}
