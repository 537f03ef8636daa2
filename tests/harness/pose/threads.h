/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads - threads that run or sleep and nothing else, named as QEMU names its own
 *
 * Threads: the caller's, and those it starts. State: none; they end with the process.
 */
#ifndef POSE_THREADS_H
#define POSE_THREADS_H

#include "pose/pose.h"

void pose_cmd_threads(const struct pose_args *args);
/* A worker of vhost that has nothing to do: it comes with the owner. */
void pose_cmd_vhost(const struct pose_args *args);

/* Rows for a program's table of commands. */
#define POSE_THREADS_COMMANDS                                                                        \
	{ "threads", pose_cmd_threads, "[name=NAME] [count=N] [cpu=C] [mode=burn|sleep]: start threads" }, \
	{ "vhost", pose_cmd_vhost, "own a vhost-net device: its worker starts" }

#endif
