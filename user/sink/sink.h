/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sink.h - where events go.
 *
 * Layer:   sink
 * State:   one struct vs_sink per open sink
 * Threads: one
 *
 * To add one: write sink/NAME.c with a struct vs_sink_ops, declare it below,
 * and offer it in app/cmd_run.c.
 */
#pragma once
#include <jansson.h>
#include <stdint.h>

struct vs_sink;

struct vs_sink_ops {
	const char *name;
	/* @where: what the user wrote after the sink's name. Logs: yes. */
	int (*open)(struct vs_sink **ret, const char *where);
	/* Writes one event (borrowed) whole or not at all. Return: 0 or -errno.
	 * Logs: once when it begins to fail, once when it works again. */
	int (*emit)(struct vs_sink *sink, const json_t *event);
	/* events that could not be written so far */
	uint64_t (*lost)(const struct vs_sink *sink);
	void (*close)(struct vs_sink **sink);
};

extern const struct vs_sink_ops vs_sink_jsonl;
