/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/pace.h"

#include <string.h>

static void note(struct vs_hist *h, uint64_t ns)
{
	h->n[vs_hist_index(ns)]++;
	h->sum_ns += ns;
}

void vs_pace_init(struct vs_pace *p, uint64_t now_ns, uint64_t period_ns)
{
	memset(p, 0, sizeof(*p));
	p->period_ns = period_ns;
	p->due_ns = now_ns + period_ns;
}

void vs_pace_begin(struct vs_pace *p, uint64_t now_ns)
{
	/* The kernel armed its timer a moment before or after we read the clock. */
	uint64_t late = now_ns > p->due_ns ? now_ns - p->due_ns : 0;
	uint64_t missed = late / p->period_ns;

	note(&p->sample.late, late);
	p->sample.ticks++;
	p->sample.missed += missed;
	p->due_ns += (missed + 1) * p->period_ns;
	p->begun_ns = now_ns;
}

void vs_pace_end(struct vs_pace *p, uint64_t now_ns)
{
	note(&p->sample.took, now_ns > p->begun_ns ? now_ns - p->begun_ns : 0);
}
