/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the running daemon answers for reports and events; and there is
 * only one.
 *
 * A Unix socket, for root and the group virtscope. The client sends one line:
 *
 * {"request":"report","duration":S,"deep":B}: the daemon answers "ready\n" when it
 * has begun to measure and, at the end, a line "report\n" that carries a descriptor
 * of a memory file with the JSON.
 *
 * {"request":"events","follow":B,"vm":NAME,"type":PATTERN,"since_seq":N,"last":N}, all
 * but the first optional: the daemon writes the events that it remembers, a line
 * each, oldest first; with "follow" also those to come, else it hangs up. "vm" is a
 * name, "type" a pattern of fnmatch(3), "since_seq" leaves out numbers up to N, "last"
 * all but the last N that match. {"skipped":N}, in place of an event, says that N
 * events had gone from memory before they could be sent: asked for too late, or read
 * too slowly; {"error":TEXT} that the request is refused.
 *
 * A client that reads slowly, or not at all, delays nobody: the memory file waits for
 * it, and events are sent as the socket takes them.
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
struct vs_event_memory;

/* One report asked for. begin() takes the older sample, finish() builds the
 * report (new reference, NULL on failure), cancel() forgets it. */
struct vs_control_ops {
	void *(*begin)(void *data, bool deep);
	json_t *(*finish)(void *data, void *request);
	void (*cancel)(void *data, void *request);
	void *data;
	struct vs_event_memory *memory; /* borrowed; NULL: events are not answered for */
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
