/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * source.h - where samples and rare events come from: this kernel, or not.
 *
 * Nothing to the right of it knows which. A sample is asked for; events come by
 * themselves, through the listener, also while a sample is being taken and
 * while the source is being made.
 *
 * Layer:   source
 * State:   struct vs_source: a handle; who made it frees it
 * Threads: one; the listener runs inside the loop
 *
 * To add one: write source/NAME.c with a struct vs_source_ops and a function that
 * makes a struct vs_source, and offer it in app/cmd_run.c and app/cmd_report.c.
 */
#pragma once
#include "model/deep.h"
#include "model/sample.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct vs_event_vm;

/* Takes @data's reference. @vm NULL: about the host. */
typedef void (*vs_emit_fn)(void *to, const char *type, const char *severity,
			   const struct vs_event_vm *vm, json_t *data);

/* All but @event may be NULL. */
struct vs_source_listener {
	vs_emit_fn event;
	/* VS_BURST__N losses within a second; @raw_reason as in vs_drop_sample */
	void (*burst)(void *data, uint64_t vnic_uid, uint32_t raw_reason);
	/* no sample will come any more; @why is for people */
	void (*lost)(void *data, const char *why);
	void *data;
};

/* How much a look takes in. */
enum vs_look {
	VS_LOOK_TICK,	 /* what detectors need each second */
	VS_LOOK_WHOLE,	 /* everything: also what costs files of /proc and debugfs (KVM's
			  * statistics, threads without an iterator) */
	VS_LOOK_THREADS, /* a tick with the threads, where they come in one pass */
};

struct vs_source_ops {
	const char *name;
	/* See vs_source_sample() and so on below. */
	int (*sample)(void *self, enum vs_look look, struct vs_sample *ret);
	void (*window)(void *self, bool open);
	int (*deep_open)(void *self, const struct vs_sample *s, struct vs_deep_sample *ret);
	int (*deep_read)(void *self, struct vs_deep_sample *ret);
	void (*deep_close)(void *self);
	int (*tier)(const void *self, const char **ret_why);
	void (*free)(void *self);
};

struct vs_source {
	const struct vs_source_ops *ops; /* NULL: there is none */
	void *self;
};

/**
 * vs_source_sample() - one look, sorted.
 * @look: what it does not take in is absent from the sample (threads_ns is 0), not 0
 *
 * Return: 0 or -errno. Logs: yes.
 */
static inline int vs_source_sample(const struct vs_source *s, enum vs_look look,
				   struct vs_sample *ret)
{
	return s->ops->sample(s->self, look, ret);
}

/* Between these two, figures of VMs that end are kept and stand in every sample,
 * so that a report over that time has them. Calls nest. */
static inline void vs_source_window_open(const struct vs_source *s)
{
	s->ops->window(s->self, true);
}
static inline void vs_source_window_close(const struct vs_source *s)
{
	s->ops->window(s->self, false);
}

/**
 * vs_source_deep_open() - begin, or join, a deep window over the threads of @s.
 * @s:   the last sample that was taken from this source, a whole one
 * @ret: a first reading
 *
 * Return: 0, or -errno with nothing to close (-ENOTSUP: not of this source).
 * Logs: yes.
 */
static inline int vs_source_deep_open(const struct vs_source *s, const struct vs_sample *sample,
				      struct vs_deep_sample *ret)
{
	return s->ops->deep_open(s->self, sample, ret);
}
/* The last reading of a window. Return: 0 or -errno. */
static inline int vs_source_deep_read(const struct vs_source *s, struct vs_deep_sample *ret)
{
	return s->ops->deep_read(s->self, ret);
}
static inline void vs_source_deep_close(const struct vs_source *s)
{
	s->ops->deep_close(s->self);
}

/* Return: 0 where it has no BPF, with the reason (borrowed) in *ret_why, else 1 or more. */
static inline int vs_source_tier(const struct vs_source *s, const char **ret_why)
{
	return s->ops->tier(s->self, ret_why);
}

static inline void vs_source_free(struct vs_source *s)
{
	if (s->ops)
		s->ops->free(s->self);
	*s = (struct vs_source){ 0 };
}
