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
 * The one of rank i is ((i + 0.5) / (63.5 - i)) ^ 0.35; pow() is no constant to
 * every compiler.
 */
static const double shape[VS_SHAPE__N] = {
	0.183513787, 1.01099843, 0.690679581, 1.4907112, 0.518554109, 1.20986108,
	0.846056071, 2.02742835, 0.405082463, 1.1041703, 0.76849777, 1.70141992,
	0.609236584, 1.33479291, 0.926010215, 2.71138111, 0.325966307, 1.05632845,
	0.729803793, 1.5868474, 0.5655779, 1.26935373, 0.88557452, 2.28758696,
	0.466268342, 1.15510694, 0.807136612, 1.8430432, 0.650679286, 1.40781379,
	0.967696703, 3.68914789, 0.271065306, 1.03338163, 0.710321211, 1.53685544,
	0.542580881, 1.23894764, 0.865720712, 2.14468775, 0.437141852, 1.12921045,
	0.787802465, 1.76810303, 0.63018032, 1.3702313, 0.946675248, 3.06780173,
	0.368815729, 1.07990169, 0.749179888, 1.64139848, 0.587744384, 1.30123995,
	0.905657401, 2.46863316, 0.49323568, 1.18195476, 0.826541176, 1.92843906,
	0.670820747, 1.44784937, 0.989121216, 5.44918186,
};

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
