/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk - direct I/O on disks, request by request
 *
 * Threads: one. State: the disks that are open.
 */
#ifndef POSE_DISK_H
#define POSE_DISK_H

#include "pose/pose.h"

/* Opens with O_DIRECT. Returns 0 or -errno. */
int pose_disk_open(const char *path);

void pose_cmd_disk_open(const struct pose_args *args);
void pose_cmd_disk(const struct pose_args *args);

/* Rows for a program's table of commands. */
#define POSE_DISK_COMMANDS                                                                \
	{ "disk-open", pose_cmd_disk_open, "path=PATH: open with O_DIRECT" },             \
	{ "disk", pose_cmd_disk, "[path=] op=read|write|flush|discard [count=] [size=]" }

#endif
