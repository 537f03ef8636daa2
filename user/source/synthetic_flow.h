/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * synthetic_flow.h - how often something has happened by now, and how long it took.
 *
 * A rate is integrated in closed form: what happened by time t is
 *
 *	rate * (calm(t) + busy(t) + odd(t))	each of them never falls
 *
 * where busy is the upper half of a wave of ten minutes, odd what fell into an
 * anomaly, and calm the rest: a day's wave and noise. Durations are a log-logistic
 * distribution cut into VS_SHAPE__N equal parts: the n-th occurrence takes the
 * part n mod VS_SHAPE__N (in an order that scatters), so that buckets add up to
 * counts exactly, and those of one request fit together.
 *
 * Layer:   source
 * State:   none
 * Threads: any
 */
#pragma once
#include "abi.h"

#include <stdint.h>

struct vs_progress {
	double calm, busy, odd;
};

/* By @age_s; what lies between the ages @from_s and @to_s is odd. @noise picks
 * the phase and the noise. */
struct vs_progress vs_progress_at(uint64_t noise, double age_s, double from_s, double to_s);

static inline double vs_progress_all(const struct vs_progress *p)
{
	return p->calm + p->busy + p->odd;
}

struct vs_flow {
	uint64_t calm, busy, odd;
};

/* How often by now. Each part is rounded down, so the sum may be 2 short. */
static inline struct vs_flow vs_flow_of(double rate, const struct vs_progress *p)
{
	return (struct vs_flow){ .calm = (uint64_t)(rate * p->calm),
				 .busy = (uint64_t)(rate * p->busy),
				 .odd = (uint64_t)(rate * p->odd) };
}

static inline uint64_t vs_flow_all(const struct vs_flow *f)
{
	return f->calm + f->busy + f->odd;
}

/* How much longer it takes in busy and in odd times. */
#define VS_FLOW_BUSY 1.8
#define VS_FLOW_ODD  20.0

/* Durations of @f around @median_ns, @weight each, onto @h. */
void vs_flow_durations(const struct vs_flow *f, double median_ns, uint32_t weight,
		       struct vs_hist *h);
/* The same for requests of a disk: queue and device of one request, and their sum.
 * Odd times are those of the device. */
void vs_flow_requests(const struct vs_flow *f, double queue_ns, double device_ns,
		      struct vs_disk_row *row);
