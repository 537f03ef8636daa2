/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sink.h - where events go: what each kind of place must be able to do.
 *
 * Layer:   sink
 * State:   one struct vs_sink per open sink, private to its file
 * Threads: one
 *
 * To add one:
 *  1. write sink/NAME.[ch] with a struct vs_sink_ops and a function that opens it;
 *  2. open it and give it to vs_sinks_add() where the daemon does (app/);
 *  3. name it in docs/EVENTS.md.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vs_sink;

/* One event in the two forms that sinks want; both borrowed. */
struct vs_sink_event {
	const json_t *json;
	const char *line; /* the same as one line of JSON, with its "\n" at the end */
	size_t len;	  /* of @line, with the "\n" */
};

/* Whoever calls these counts, logs and tells of losses: sinks.h. None of them
 * may block: the loop that calls them measures, too. Logs: never. */
struct vs_sink_ops {
	/* Writes one event whole or not at all; or keeps it, to be written later.
	 * Return: 0 or -errno. */
	int (*emit)(struct vs_sink *sink, const struct vs_sink_event *event);
	/* SIGHUP: find the place anew by its name; NULL: nothing to find.
	 * Return: 0 or -errno; the sink goes on with what it has then. */
	int (*reopen)(struct vs_sink *sink);
	/* Once a second: repairs what can be repaired without an event; may be NULL. */
	void (*tick)(struct vs_sink *sink);
	/* Once a second: of the events that emit() kept, how many were lost since it was
	 * asked last; NULL: it keeps none. @at_end: what is still kept is lost. */
	uint64_t (*lost_later)(struct vs_sink *sink, bool at_end);
	void (*close)(struct vs_sink **sink);
};
