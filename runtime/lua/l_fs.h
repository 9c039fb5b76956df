/* SPDX-License-Identifier: MIT */
/* l_fs.h - the Lua face of files: one job of a helper thread an operation, and the task that waits for it.
 *
 * An open file is a userdata around a struct file. What an operation uses is copied into its job, so a
 * task that is cancelled leaves at once. */
#ifndef MOONPARK_L_FS_H
#define MOONPARK_L_FS_H

#include "lua/face.h"

void l_fs_open(lua_State *L);

#endif
