/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * burst.h - many losses of one (vNIC, direction, reason) in a short time.
 *
 * BPF keeps the times of the last VS_BURST__N drops and says when they fall
 * into one second; here they are counted. An event waits until a second has
 * passed, so that it carries the burst and not its beginning, and for the next
 * one 10 s must pass; it then carries all that was lost since the one before.
 *
 * Layer:   detect
 * State:   struct vs_burst_detector
 * Threads: one. Time comes with the sample.
 */
#pragma once
#include "model/sample.h"

#define VS_BURST_SETTLE_NS 1000000000ull
#define VS_BURST_QUIET_NS  (10 * 1000000000ull)
#define VS_BURST_MIN	   10

struct vs_burst_detector;

struct vs_burst_finding {
	uint64_t vnic_uid;
	uint8_t direction;
	const char *reason;
	enum vs_site site;     /* of the place that lost most */
	const char *location;  /* the same */
	uint64_t count;	       /* losses since the burst began, or since the last event */
	uint64_t over_ns;      /* in this time */
};
typedef void (*vs_burst_fn)(void *data, const struct vs_burst_finding *finding);

int vs_burst_new(struct vs_burst_detector **ret);
void vs_burst_free(struct vs_burst_detector **d);

/* BPF saw a burst. Unknown vNICs are remembered until the next tick. */
void vs_burst_note(struct vs_burst_detector *d, uint64_t vnic_uid, uint32_t raw_reason,
		   uint64_t now_ns);

/* Looks at a sample, sorted; calls @fn for each burst that is due. Call it about
 * once a second. */
void vs_burst_tick(struct vs_burst_detector *d, const struct vs_sample *s, vs_burst_fn fn,
		   void *data);
