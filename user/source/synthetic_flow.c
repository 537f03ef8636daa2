/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/synthetic_flow.h"

#include "source/synthetic_vm.h"

#include <math.h>

/* Shares of the mean rate: their sum stays below 1, so that no rate falls to 0. */
#define DAY_SHARE   0.4
#define WAVE_SHARE  0.2
#define NOISE_SHARE 0.15
#define DAY_S	    86400.0
#define WAVE_S	    607.0 /* not a divisor of anything else */

#define VS_SHAPE__N 64 /* the last is the quantile 0.992 */

uint64_t vs_synthetic_hash(uint64_t seed, uint64_t a, uint64_t b)
{
	/* splitmix64's finaliser (Steele, Lea, Flood 2014) over a sum that tells
	 * the arguments apart */
	uint64_t x = seed + a * 0x9e3779b97f4a7c15ull + (b + 1) * 0xd1342543de82ef95ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static double unit(uint64_t hash)
{
	return (double)(hash >> 11) * 0x1p-53;
}

/* The integral of sin(2 pi t / period + phase) from 0 to @t. */
static double wave(double t, double period, double phase)
{
	double w = 2 * M_PI / period;

	return (cos(phase) - cos(w * t + phase)) / w;
}

/* How far the noise has run ahead: another number each second, and straight on
 * between them. */
static double noise_at(uint64_t noise, double t)
{
	double second = floor(t), part = t - second;
	uint64_t k = (uint64_t)second;

	return (1 - part) * unit(vs_synthetic_hash(noise, 1, k)) +
	       part * unit(vs_synthetic_hash(noise, 1, k + 1)) -
	       unit(vs_synthetic_hash(noise, 1, 0));
}

static struct vs_progress until(uint64_t noise, double t)
{
	double day = 2 * M_PI * unit(vs_synthetic_hash(noise, 2, 0));
	double phase = 2 * M_PI * unit(vs_synthetic_hash(noise, 3, 0));

	return (struct vs_progress){
		.calm = (1 - WAVE_SHARE) * t + DAY_SHARE * wave(t, DAY_S, day) +
			NOISE_SHARE * noise_at(noise, t),
		.busy = WAVE_SHARE * (t + wave(t, WAVE_S, phase)),
	};
}

struct vs_progress vs_progress_at(uint64_t noise, double age_s, double from_s, double to_s)
{
	struct vs_progress p = until(noise, age_s), a, b;

	if (age_s <= from_s || to_s <= from_s)
		return p;
	a = until(noise, from_s);
	b = age_s < to_s ? p : until(noise, to_s);
	/* In this order: while it lasts, calm and busy stand still to the last bit. */
	return (struct vs_progress){ .calm = a.calm + (p.calm - b.calm),
				     .busy = a.busy + (p.busy - b.busy),
				     .odd = (b.calm - a.calm) + (b.busy - a.busy) };
}

/*
 * Quantiles of a log-logistic distribution with median 1 and a p99 of 5, in the
 * order in which they are dealt: bits reversed, so that few occurrences scatter.
 */
#define Q(i) __builtin_pow(((i) + 0.5) / (VS_SHAPE__N - (i) - 0.5), 0.35)
static const double shape[VS_SHAPE__N] = {
	Q(0), Q(32), Q(16), Q(48), Q(8), Q(40), Q(24), Q(56),
	Q(4), Q(36), Q(20), Q(52), Q(12), Q(44), Q(28), Q(60),
	Q(2), Q(34), Q(18), Q(50), Q(10), Q(42), Q(26), Q(58),
	Q(6), Q(38), Q(22), Q(54), Q(14), Q(46), Q(30), Q(62),
	Q(1), Q(33), Q(17), Q(49), Q(9), Q(41), Q(25), Q(57),
	Q(5), Q(37), Q(21), Q(53), Q(13), Q(45), Q(29), Q(61),
	Q(3), Q(35), Q(19), Q(51), Q(11), Q(43), Q(27), Q(59),
	Q(7), Q(39), Q(23), Q(55), Q(15), Q(47), Q(31), Q(63),
};
#undef Q

/* How many of @n occurrences took shape @i. */
static uint64_t dealt(uint64_t n, uint32_t i)
{
	return (n + VS_SHAPE__N - 1 - i) / VS_SHAPE__N;
}

static void add_durations(uint64_t n, double median_ns, uint32_t weight, struct vs_hist *h)
{
	for (uint32_t i = 0; i < VS_SHAPE__N && dealt(n, i); i++) {
		uint64_t ns = (uint64_t)(median_ns * shape[i]), times = dealt(n, i) * weight;

		h->n[vs_hist_index(ns)] += (uint32_t)times;
		h->sum_ns += ns * times;
	}
}

void vs_flow_durations(const struct vs_flow *f, double median_ns, uint32_t weight, struct vs_hist *h)
{
	add_durations(f->calm, median_ns, weight, h);
	add_durations(f->busy, median_ns * VS_FLOW_BUSY, weight, h);
	add_durations(f->odd, median_ns * VS_FLOW_ODD, weight, h);
}

static void add_requests(uint64_t n, double queue_ns, double device_ns, struct vs_disk_row *row)
{
	for (uint32_t i = 0; i < VS_SHAPE__N && dealt(n, i); i++) {
		/* A request that waits long is not the one that the device is slow with. */
		uint64_t queue = (uint64_t)(queue_ns * shape[VS_SHAPE__N - 1 - i]);
		uint64_t device = (uint64_t)(device_ns * shape[i]), times = dealt(n, i);

		row->n[vs_hist_index(queue)][VS_PART_QUEUE] += (uint32_t)times;
		row->n[vs_hist_index(device)][VS_PART_DEVICE] += (uint32_t)times;
		row->n[vs_hist_index(queue + device)][VS_PART_TOTAL] += (uint32_t)times;
		row->device_ns += device * times;
		row->total_ns += (queue + device) * times;
	}
}

void vs_flow_requests(const struct vs_flow *f, double queue_ns, double device_ns,
		      struct vs_disk_row *row)
{
	add_requests(f->calm, queue_ns, device_ns, row);
	add_requests(f->busy, queue_ns * VS_FLOW_BUSY, device_ns * VS_FLOW_BUSY, row);
	add_requests(f->odd, queue_ns, device_ns * VS_FLOW_ODD, row);
}
