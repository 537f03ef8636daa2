/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ewma.c - deviation from an exponentially weighted mean that outliers move little.
 *
 * Mean and variance are exponential averages (Roberts, "Control chart tests
 * based on geometric moving averages", Technometrics 1, 1959), and both learn
 * from a value that is drawn back towards the mean first: Huber's psi, put into
 * exponential smoothing by Gelper, Fried and Croux, "Robust forecasting with
 * exponential and Holt-Winters smoothing", Journal of Forecasting 29, 2010. The
 * first values count alike (weight 1/n) until 1/n is ALPHA.
 *
 * The weight is per value, not per second: a series without values has nothing
 * to forget.
 *
 * Rejected: the mean absolute deviation in place of the variance. It takes a
 * series of rare, high bursts for a calm one and made far more false alarms on
 * both data sets of docs/DETECTION.md, where the constants come from, too.
 */
#include "detect/detect.h"

#include <math.h>

#define ALPHA 0.005
/* So many scales off, a value moves the mean and the variance no further. */
#define CLIP_MEAN 3.0
#define CLIP_SCALE 8.0
/* The first values are not drawn back: there is no scale yet to do it by. */
#define UNCLIPPED 10

struct state {
	double mean, variance, floor;
	uint32_t n;
};

static void init(void *memory, double floor)
{
	struct state *s = memory;

	*s = (struct state){.floor = floor};
}

static double clip(double x, double limit)
{
	return fmax(-limit, fmin(limit, x));
}

static double scale_of(const struct state *s)
{
	return fmax(sqrt(s->variance), s->floor);
}

static void judge(const void *memory, double x, struct vs_verdict *ret)
{
	const struct state *s = memory;

	ret->expected = s->n ? s->mean : x;
	ret->deviation = (x - ret->expected) / scale_of(s);
}

static void learn(void *memory, double x)
{
	struct state *s = memory;
	double off = x - s->mean, off_scale = off;

	if (!s->n) {
		s->mean = x;
		s->n = 1;
		return;
	}
	if (s->n > UNCLIPPED) {
		double scale = scale_of(s);

		off = clip(off, CLIP_MEAN * scale);
		off_scale = clip(off_scale, CLIP_SCALE * scale);
	}
	/* n values before this one, so this is the n-th deviation. */
	s->variance += fmax(ALPHA, 1.0 / s->n) * (off_scale * off_scale - s->variance);
	s->n += s->n < UINT32_MAX;
	s->mean += fmax(ALPHA, 1.0 / s->n) * off;
}

const struct vs_detector_ops vs_detector_ewma = {
	.name = "ewma",
	.state_size = sizeof(struct state),
	.init = init,
	.judge = judge,
	.learn = learn,
};
