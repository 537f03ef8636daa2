/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sinks.h - a set of sinks: each is given every event, none harms another.
 *
 * What a sink could not write is counted as its loss and never kept for later.
 * A loss is told by sink.dropped events to all sinks (so to those that work),
 * and by a line on stderr: when a stretch of losses begins, while it goes on and
 * when it is over, not more often than every 10 s per sink. "count" is what the
 * stretch has cost so far; a sink that works again therefore reads, in the event
 * with state "recovered", how many numbers are missing in it.
 *
 * Numbers (seq) belong to events, not to sinks: the caller wraps an event once
 * (model/event.h) and gives it to the set once.
 *
 * Layer:   sink
 * State:   struct vs_sinks
 * Threads: one
 */
#pragma once
#include "sink/sink.h"

#include <stdbool.h>
#include <stdint.h>

#define VS_SINKS__MAX	    8
#define VS_SINKS_TELL_EVERY_NS 10000000000ull

struct vs_sinks;
struct vs_event_vm;

struct vs_sink_stats {
	const char *name;
	uint64_t written, lost; /* events, since the sink was added. Both only grow: what was
				 * taken, so "written", and lost after all is in both */
	bool failing;		/* the last event was lost */
};

/* Wraps an event and gives it to the set; takes @data's reference. */
typedef void (*vs_sinks_emit_fn)(void *to, const char *type, const char *severity,
				 const struct vs_event_vm *vm, json_t *data);

/* Return: 0 or -ENOMEM. Logs: never. */
int vs_sinks_new(struct vs_sinks **ret);
/* Closes all sinks. */
void vs_sinks_free(struct vs_sinks **set);

/**
 * vs_sinks_add() - one more sink.
 * @name:  what figures and events call it: "file", "stdout", "journal", …; static
 * @where: what messages call it, "the event file '/x'"; copied
 * @sink:  moved into the set, also on failure
 *
 * Return: 0, -ENOSPC when the set is full, or -ENOMEM. Logs: yes.
 */
int vs_sinks_add(struct vs_sinks *set, const char *name, const char *where,
		 const struct vs_sink_ops *ops, struct vs_sink **sink);

/**
 * vs_sinks_replace() - another sink in the place of the one called @name, which is
 * closed; its figures go on. Where there is none, as vs_sinks_add().
 */
int vs_sinks_replace(struct vs_sinks *set, const char *name, const char *where,
		     const struct vs_sink_ops *ops, struct vs_sink **sink);

/* Closes the sink called @name, if there is one; its figures go with it. */
void vs_sinks_remove(struct vs_sinks *set, const char *name);

/* Gives @event (borrowed) to every sink. Never blocks, never fails: see vs_sinks_get(). */
void vs_sinks_emit(struct vs_sinks *set, const json_t *event);

/**
 * vs_sinks_tick() - once a second: repairs, and tells of losses.
 * @now_ns: monotonic
 * @emit:   called for each sink.dropped that is due; it may call vs_sinks_emit().
 *          NULL: messages only
 *
 * Logs: yes.
 */
void vs_sinks_tick(struct vs_sinks *set, uint64_t now_ns, vs_sinks_emit_fn emit, void *to);

/* SIGHUP. Return: 0, or the first sink's -errno. Logs: yes. */
int vs_sinks_reopen(struct vs_sinks *set);

/* The @i-th sink's figures. Return: false when there is none. */
bool vs_sinks_get(const struct vs_sinks *set, uint32_t i, struct vs_sink_stats *ret);
