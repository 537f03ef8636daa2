/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.h - the two clocks. Read at the edges (source, sinks) only: whatever
 * lies between is given its time.
 *
 * Layer:   base
 * State:   none
 * Threads: any
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define VS_NS_PER_S 1000000000ull

static inline uint64_t vs_clock_ns(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * VS_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The clock of bpf_ktime_get_ns(). */
static inline uint64_t vs_clock_mono_ns(void)
{
	return vs_clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t vs_clock_wall_ns(void)
{
	return vs_clock_ns(CLOCK_REALTIME);
}

#define VS_RFC3339__N 31

/* Writes a wall-clock time as RFC 3339 in UTC with nanoseconds. */
void vs_clock_rfc3339(uint64_t wall_ns, char ret_text[static VS_RFC3339__N]);
