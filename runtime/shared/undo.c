/* SPDX-License-Identifier: MIT */
/* undo.c - the way back; the way there is inline. */
#include "shared/undo.h"

static bool is_sound(const struct undo *u, uint64_t words)
{
    if (u->count > UNDO_MOST)
        return false;
    for (uint64_t i = 0; i < u->count; i++)
        if (u->old[i] >> 32 >= words)
            return false;
    return true;
}

bool undo_roll_back(struct undo *u, void *base, uint64_t words)
{
    if (!is_sound(u, words))
        return false;
    while (u->count > 0) {
        uint64_t old = u->old[u->count - 1];
        __atomic_store_n((uint32_t *)base + (old >> 32), (uint32_t)old, __ATOMIC_RELEASE);
        __atomic_store_n(&u->count, u->count - 1, __ATOMIC_RELEASE);
    }
    return true;
}
