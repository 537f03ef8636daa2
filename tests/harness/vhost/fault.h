/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault - what a guest can do wrong
 *
 * It posts no receive buffers, does not tell of what it posts, wants no signals,
 * or does nothing at all for a while.
 *
 * Threads: one. State: that of the queues.
 */
#ifndef VHOST_FAULT_H
#define VHOST_FAULT_H

#include "pose/pose.h"

void vd_cmd_post(const struct pose_args *args);
void vd_cmd_kick(const struct pose_args *args);
void vd_cmd_notify(const struct pose_args *args);
void vd_cmd_stall(const struct pose_args *args);

/* Rows for the table of commands. */
#define VD_FAULT_COMMANDS                                                                       \
	{ "post", vd_cmd_post, "on|off [limit=N]: receive buffers; N = what the device may hold" }, \
	{ "kick", vd_cmd_kick,                                                                  \
	  "on|off|now [which=rx|tx]: off = post, but do not tell; now = once, asked or not" },  \
	{ "notify", vd_cmd_notify,                                                              \
	  "on|off [which=rx|tx] [look_us=US]: off = no calls, look by timer (0 = never)" },     \
	{ "stall", vd_cmd_stall, "ms=MS: look at no ring for so long" }

#endif
