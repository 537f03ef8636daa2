/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/synthetic.h"

#include "source/synthetic_vm.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The part of a life that a VM which comes and goes is there. */
#define PRESENT 0.9

struct vs_synthetic {
	struct vs_synthetic_options options;
	struct vs_kvm_names kvm_names;
	struct vs_disk_info host;
	struct vs_disk_info *own; /* by VM */
};

static void name_kvm(struct vs_kvm_names *names)
{
	/* by name, as the live source has them */
	static const char *const list[] = { "exits",	"halt_exits", "halt_poll_fail_ns",
					    "halt_poll_success_ns", "io_exits", "irq_exits",
					    "mmio_exits" };

	for (; names->n < sizeof(list) / sizeof(list[0]); names->n++) {
		(void)snprintf(names->name[names->n], sizeof(names->name[0]), "%s", list[names->n]);
		names->exits[names->n] = !strstr(list[names->n], "_ns");
	}
	names->polling = true;
}

int vs_synthetic_new(const struct vs_synthetic_options *o, struct vs_synthetic **ret)
{
	struct vs_synthetic *y;

	if (o->vms < 1 || o->vms > VS_SYNTHETIC_MAX || o->anomalies_n > VS_SYNTHETIC_ANOMALY__N)
		return -EINVAL;
	y = calloc(1, sizeof(*y));
	if (!y)
		return -ENOMEM;
	y->options = *o;
	y->own = calloc(o->vms, sizeof(*y->own));
	if (!y->own) {
		free(y);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < o->vms; i++) {
		(void)snprintf(y->own[i].name, sizeof(y->own[i].name), "dm-%u", i);
		(void)snprintf(y->own[i].kind, sizeof(y->own[i].kind), "dm");
		y->own[i].logical = true;
	}
	(void)snprintf(y->host.name, sizeof(y->host.name), "nvme0n1");
	(void)snprintf(y->host.kind, sizeof(y->host.kind), "disk");
	name_kvm(&y->kvm_names);
	*ret = y;
	return 0;
}

void vs_synthetic_free(struct vs_synthetic **synthetic)
{
	struct vs_synthetic *y = *synthetic;

	if (!y)
		return;
	free(y->own);
	free(y);
	*synthetic = NULL;
}

/* Begin and end of the @n-th life of VM @index, in seconds since the begin. */
static void span(const struct vs_synthetic *y, uint32_t index, uint64_t n, double *ret_from,
		 double *ret_to)
{
	double churn = y->options.churn_s, early;

	*ret_from = 0;
	*ret_to = INFINITY;
	if (!y->options.churn_s || index % VS_SYNTHETIC_CHURN != VS_SYNTHETIC_CHURN - 1)
		return;
	/* Not all at once: each is in another part of its first life. */
	early = (double)(vs_synthetic_hash(y->options.seed, index, 14) % 1024) / 1024 * churn;
	*ret_from = (double)n * churn - early;
	*ret_to = *ret_from + PRESENT * churn;
	*ret_from = *ret_from < 0 ? 0 : *ret_from;
}

/* The life that has begun last at @t. */
static uint64_t last_life(const struct vs_synthetic *y, uint32_t index, double t)
{
	double from, to;
	uint64_t n = 0;

	span(y, index, 1, &from, &to);
	if (from <= 0)
		return 0;
	/* from is that of life 1: each further one begins churn_s later */
	if (t >= from)
		n = 1 + (uint64_t)((t - from) / y->options.churn_s);
	return n;
}

static void live(const struct vs_synthetic *y, uint32_t index, uint64_t n, double t,
		 struct vs_synthetic_life *ret)
{
	double from, to;

	span(y, index, n, &from, &to);
	*ret = (struct vs_synthetic_life){ .seed = y->options.seed,
					   .index = index,
					   .key = n * y->options.vms + index,
					   .age_s = (t < to ? t : to) - from,
					   .ended = t >= to,
					   .own = &y->own[index],
					   .host = &y->host };
	for (uint32_t i = y->options.anomalies_n; i-- > 0;) {
		const struct vs_synthetic_anomaly *a = &y->options.anomalies[i];

		if (a->vm != index || a->what >= VS_ODD__N)
			continue;
		ret->odd_from_s[a->what] = a->from_s > from ? a->from_s - from : 0;
		ret->odd_to_s[a->what] = a->to_s > from ? a->to_s - from : 0;
	}
}

static double seconds(const struct vs_synthetic *y, uint64_t mono_ns)
{
	return mono_ns > y->options.begin_ns ? (double)(mono_ns - y->options.begin_ns) / 1e9 : 0;
}

/* All lives of VM @index that have ended after @since, and the one under way. */
static int add_lives(const struct vs_synthetic *y, uint32_t index, double since, double t,
		     struct vs_sample *ret)
{
	uint64_t last = last_life(y, index, t), n = since < t ? last_life(y, index, since) : last;
	struct vs_synthetic_life l;
	int r = 0;

	for (; n <= last && !r; n++) {
		double from, to;

		span(y, index, n, &from, &to);
		if (t >= to && to <= since)
			continue;
		live(y, index, n, t, &l);
		r = vs_synthetic_add(&l, ret);
	}
	return r;
}

int vs_synthetic_fill(const struct vs_synthetic *y, uint64_t mono_ns, uint64_t wall_ns,
		      uint64_t since_ns, enum vs_look look, struct vs_sample *ret)
{
	double t = seconds(y, mono_ns), since = since_ns == UINT64_MAX ? INFINITY : seconds(y, since_ns);
	int r;

	vs_sample_clear(ret);
	ret->mono_ns = mono_ns;
	ret->threads_ns = look == VS_LOOK_TICK ? 0 : mono_ns;
	ret->wall_ns = wall_ns;
	ret->synthetic = true;
	ret->kvm_names = look == VS_LOOK_WHOLE ? &y->kvm_names : NULL;
	r = vs_synthetic_add_host(y->options.seed, t, &y->host, ret);
	for (uint32_t i = 0; i < y->options.vms && !r; i++)
		r = add_lives(y, i, since, t, ret);
	vs_sample_sort(ret);
	return r;
}

bool vs_synthetic_present(const struct vs_synthetic *y, uint32_t index, uint64_t mono_ns,
			  struct vs_synthetic_life *ret)
{
	double t = seconds(y, mono_ns);

	live(y, index, last_life(y, index, t), t, ret);
	return !ret->ended;
}

uint32_t vs_synthetic_vms(const struct vs_synthetic *y)
{
	return y->options.vms;
}
