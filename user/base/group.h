/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * group.h - the group whose members may read what virtscope writes.
 *
 * Layer:   base
 * State:   none
 * Threads: main (the group is looked up by the C library)
 */
#pragma once

#define VS_GROUP "virtscope"

/* Give an open file, or a path, to the group virtscope; where that does not
 * exist, or may not be given to (a root without capabilities that is no member),
 * nothing happens. Logs: debug. */
void vs_group_give(int fd);
void vs_group_give_path(const char *path);
