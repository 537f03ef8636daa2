/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the running daemon answers for reports; and there is only one.
 *
 * A Unix socket. The client sends one line, {"request":"report","duration":S,"deep":B};
 * the daemon answers "ready\n" when it has begun to measure and, at the end, a
 * line "report\n" that carries a descriptor of a memory file with the JSON: a
 * client that reads slowly, or not at all, delays nobody.
 *
 * Layer:   serve
 * State:   struct vs_control
 * Threads: one
 */
#pragma once
#include "base/loop.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#define VS_CONTROL_DIR	"/run/virtscope"
#define VS_CONTROL_PATH VS_CONTROL_DIR "/control.sock"

struct vs_control;

/* One report asked for. begin() takes the older sample, finish() builds the
 * report (new reference, NULL on failure), cancel() forgets it. */
struct vs_control_ops {
	void *(*begin)(void *data, bool deep);
	json_t *(*finish)(void *data, void *request);
	void (*cancel)(void *data, void *request);
	void *data;
};

/**
 * vs_control_lock() - be the only daemon of this control path.
 * @ret_pid: on -EBUSY, the other's
 *
 * Makes the directory when it is the default one. The lock lives as long as
 * the process. Return: 0, -EBUSY, or -errno. Logs: all but -EBUSY.
 */
int vs_control_lock(const char *path, pid_t *ret_pid);

/* Return: 0 or -errno. Logs: yes. */
int vs_control_new(struct vs_loop *loop, const char *path, const struct vs_control_ops *ops,
		   struct vs_control **ret);
void vs_control_free(struct vs_control **control);

/**
 * vs_control_ask() - let the running daemon measure.
 * @ready: called when it has begun; may be NULL
 * @stop_fd: when readable, the wait ends and the report so far is taken; or -1
 *
 * @deep: with a deep window
 *
 * Return: 0 with a new reference, -ENOENT when no daemon listens, or -errno.
 * Logs: all but -ENOENT. Blocks for @duration_s and a little.
 */
int vs_control_ask(const char *path, double duration_s, bool deep, void (*ready)(void), int stop_fd,
		   json_t **ret);
