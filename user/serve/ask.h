/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask.h - the other end of the control socket (control.h).
 *
 * Layer:   serve
 * State:   none
 * Threads: any
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * vs_ask_report() - let the running daemon measure.
 * @deep: with a deep window
 * @ready: called when it has begun; may be NULL
 * @stop_fd: when readable, the wait ends and the report so far is taken; or -1
 *
 * Return: 0 with a new reference, -ENOENT when no daemon listens, or -errno.
 * Logs: all but -ENOENT. Blocks for @duration_s and a little.
 */
int vs_ask_report(const char *path, double duration_s, bool deep, void (*ready)(void), int stop_fd,
		  json_t **ret);

struct vs_ask_events {
	bool follow;
	const char *vm, *type; /* NULL: all */
	uint64_t since_seq;    /* 0: all */
	uint32_t last;	       /* 0: all */
};

/**
 * vs_ask_events() - read events from the running daemon.
 * @line:    called for each, without "\n"; @event is the line parsed, with key
 *           "schema", or with "skipped". Return: 0, or a value that ends the wait
 * @stop_fd: when readable, the wait ends; or -1
 *
 * Return: 0 at the end of what is remembered and after @stop_fd, -ENOENT when no
 * daemon listens, -ECONNRESET when it ended while being followed, -EPROTO when it
 * refused, what @line returned, or -errno. Logs: all but -ENOENT and @line's.
 */
int vs_ask_events(const char *path, const struct vs_ask_events *ask, int stop_fd,
		  int (*line)(void *data, const char *text, size_t len, const json_t *event),
		  void *data);
