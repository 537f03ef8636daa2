/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event.h - the envelope of schema "virtscope.event/1", and its numbers.
 *
 * seq has no holes within one boot of the host, also across restarts: the
 * next number is kept in a small file under /run, which lives as long.
 *
 * Layer:   model
 * State:   struct vs_events: the counter and its file
 * Threads: one
 */
#pragma once
#include <jansson.h>
#include <stdint.h>

struct vs_events {
	char boot_id[37];
	char host[256];
	uint64_t next_seq;
	int state_fd; /* -1: numbers start anew with every run */
};

/* The VM that an event is about. */
struct vs_event_vm {
	const char *name;
	const char *uuid; /* "" if unknown */
	uint32_t pid;
};

/**
 * vs_events_open() - find the number to go on with.
 * @state_path: kept there; NULL for none
 *
 * Return: 0 or -errno. Logs: yes. A damaged or foreign state file starts at 1.
 */
int vs_events_open(struct vs_events *e, const char *state_path);
void vs_events_close(struct vs_events *e);

/**
 * vs_events_wrap() - put @data into the envelope and give it the next number.
 * @vm:   NULL: about the host
 * @data: reference is taken, also on failure
 *
 * Return: a new reference, or NULL when there is no memory (no number used).
 */
json_t *vs_events_wrap(struct vs_events *e, uint64_t wall_ns, const char *type,
		       const char *severity, const struct vs_event_vm *vm, json_t *data);

/* Stores the next number; call it once the event was written. */
void vs_events_commit(struct vs_events *e);
