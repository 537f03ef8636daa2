/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event_memory.h - the last events, for whoever asks later or reads slowly.
 *
 * A ring in memory that is bounded by a number of events and by bytes, whichever
 * is reached first; the oldest go. Its pages are the kernel's until events come
 * to lie in them. Readers keep a position of their own; the ring keeps nothing
 * for them, and one that is too slow finds that events have gone.
 *
 * Layer:   serve
 * State:   struct vs_event_memory
 * Threads: one
 */
#pragma once
#include "sink/sink.h"

#include <stdint.h>

#define VS_EVENT_MEMORY_EVENTS 10000
#define VS_EVENT_MEMORY_BYTES  (4u << 20)

struct vs_event_memory;

/* One event; valid until the next is remembered. */
struct vs_event_record {
	uint64_t seq;
	const char *type;
	const char *vm; /* its name; "" for events of the host */
	const char *line; /* of @len bytes, with "\n" at the end, without NUL */
	uint32_t len;
};

/* @events, @bytes: the bounds, both above 0. Return: 0 or -errno. Logs: yes. */
int vs_event_memory_new(uint32_t events, uint32_t bytes, struct vs_event_memory **ret);
void vs_event_memory_free(struct vs_event_memory **memory);

/* Positions count events from 0; those from _begin() up to before _end() are there. */
uint64_t vs_event_memory_begin(const struct vs_event_memory *memory);
uint64_t vs_event_memory_end(const struct vs_event_memory *memory);
/* @at: a position that is there */
struct vs_event_record vs_event_memory_get(const struct vs_event_memory *memory, uint64_t at);

/* Calls @fn after each event; NULL: nobody any more. There is one watcher. */
void vs_event_memory_watch(struct vs_event_memory *memory, void (*fn)(void *data), void *data);

/* A sink that remembers, to be closed before the memory is freed. Return: 0 or -ENOMEM. */
int vs_event_memory_sink(struct vs_event_memory *memory, struct vs_sink **ret);
extern const struct vs_sink_ops vs_sink_memory;
