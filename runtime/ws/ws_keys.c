/* SPDX-License-Identifier: MIT */
/* ws_keys.c - one system call gives random bytes for 64 frames. */
#include "ws/ws_keys.h"

#include "base/sys.h"

#include <string.h>

int ws_keys_next(struct ws_keys *k, uint8_t key[static WS_KEY])
{
    if (k->left < WS_KEY) {
        int r = sys_random(k->bytes, sizeof k->bytes);
        if (r < 0)
            return r;
        k->left = sizeof k->bytes;
    }
    memcpy(key, k->bytes + sizeof k->bytes - k->left, WS_KEY);
    k->left -= WS_KEY;
    return 0;
}
