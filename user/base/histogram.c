/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/histogram.h"

#include <math.h>
#include <stddef.h>

uint64_t vs_hist_lower_ns(uint32_t i)
{
	uint32_t octave, step;

	if (i == 0)
		return 0;
	octave = (i - 1) >> VS_HIST_STEPS_LOG2;
	step = (i - 1) & (VS_HIST_STEPS - 1);
	return (uint64_t)(VS_HIST_STEPS + step)
	       << (VS_HIST_FIRST_LOG2 - VS_HIST_STEPS_LOG2 + octave);
}

uint64_t vs_hist_upper_ns(uint32_t i)
{
	return vs_hist_lower_ns(i + 1 < VS_HIST__N ? i + 1 : i);
}

void vs_hist_diff(const struct vs_hist *newer, const struct vs_hist *older, struct vs_hist *ret)
{
	ret->sum_ns = newer->sum_ns - (older ? older->sum_ns : 0);
	for (uint32_t i = 0; i < VS_HIST__N; i++)
		ret->n[i] = newer->n[i] - (older ? older->n[i] : 0);
}

uint64_t vs_hist_count(const struct vs_hist *h)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < VS_HIST__N; i++)
		n += h->n[i];
	return n;
}

double vs_hist_percentile_ns(const struct vs_hist *h, double q)
{
	uint64_t total = vs_hist_count(h), below = 0;
	double rank;

	if (!total)
		return 0;
	rank = ceil(q * (double)total);
	if (rank < 1)
		rank = 1;
	for (uint32_t i = 0; i < VS_HIST__N; i++) {
		if (!h->n[i])
			continue;
		if ((double)(below + h->n[i]) >= rank) {
			double lo = (double)vs_hist_lower_ns(i), hi = (double)vs_hist_upper_ns(i);

			/* the middle of the rank's own share of the bucket */
			return lo + (hi - lo) * (rank - (double)below - 0.5) / h->n[i];
		}
		below += h->n[i];
	}
	return (double)vs_hist_lower_ns(VS_HIST__N - 1);
}

uint64_t vs_hist_max_ns(const struct vs_hist *h)
{
	for (uint32_t i = VS_HIST__N; i-- > 0;)
		if (h->n[i])
			return vs_hist_upper_ns(i);
	return 0;
}
