/* SPDX-License-Identifier: GPL-2.0-or-later */
/* synthetic_source.c - the synthetic VMs by the real clocks, as a source. */
#include "source/synthetic_vm.h"

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "model/event.h"
#include "probe/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct source {
	struct vs_synthetic *synthetic;
	struct vs_synthetic_options options;
	struct vs_source_listener listener;
	struct vs_plan plan; /* names of the probes, all absent */
	uint64_t told_ns;    /* what came and went until then was told */
	uint64_t since_ns;   /* begin of the first window that is open; UINT64_MAX: none */
	uint32_t windows;
};

static void tell(struct source *s, const struct vs_synthetic_life *l, const char *type, json_t *data)
{
	struct vs_vm_sample vm = { 0 };
	struct vs_event_vm who = { .name = vm.name, .uuid = vm.uuid };

	vs_synthetic_fill_vm(l, &vm);
	who.pid = vm.pid;
	s->listener.event(s->listener.data, type, "info", &who, data);
}

static void tell_changes(struct source *s, uint64_t now_ns)
{
	for (uint32_t i = 0; s->listener.event && i < s->options.vms; i++) {
		struct vs_synthetic_life was, is;
		bool before = s->told_ns && vs_synthetic_present(s->synthetic, i, s->told_ns, &was);
		bool now = vs_synthetic_present(s->synthetic, i, now_ns, &is);

		if (before && now && was.key == is.key)
			continue;
		if (before)
			tell(s, &was, "vm.stop", json_pack("{s:s}", "reason", "shutdown"));
		if (now)
			tell(s, &is, "vm.start",
			     json_pack("{s:s,s:s}", "cause", s->told_ns ? "boot" : "found", "source",
				       "libvirt"));
	}
	s->told_ns = now_ns;
}

/* A burst is told again and again while it lasts; who listens sums it up. */
static void tell_bursts(struct source *s, uint64_t now_ns)
{
	double t = (double)(now_ns - s->options.begin_ns) / 1e9;

	for (uint32_t i = 0; s->listener.burst && i < s->options.anomalies_n; i++) {
		const struct vs_synthetic_anomaly *a = &s->options.anomalies[i];
		struct vs_synthetic_life l;

		if (a->what == VS_ODD_DROPS && t >= a->from_s && t < a->to_s &&
		    vs_synthetic_present(s->synthetic, a->vm, now_ns, &l))
			s->listener.burst(s->listener.data, vs_synthetic_vnic_uid(l.key, 0),
					  VS_SYNTHETIC_FULL_RING);
	}
}

static void fill_self(const struct source *s, struct vs_self_sample *self)
{
	vs_autofclose FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (f && fscanf(f, "%*u %lu", &pages) == 1)
		self->rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	self->cpu_ns = vs_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i <= VS_PROBE__COUNT; i++) {
		struct vs_probe_state *p = &self->probes[self->probes_n++];

		(void)snprintf(p->name, sizeof(p->name), "%s",
			       i < VS_PROBE__COUNT ? s->plan.probes[i].name : "discover.libvirt");
		p->state = vs_state_name(VS_STATE_ABSENT);
		(void)snprintf(p->reason, sizeof(p->reason), "the figures are synthetic");
	}
}

static int source_sample(void *self, enum vs_look look, struct vs_sample *ret)
{
	struct source *s = self;
	uint64_t now = vs_clock_mono_ns();
	int r = vs_synthetic_fill(s->synthetic, now, vs_clock_wall_ns(), s->since_ns, look, ret);

	if (r)
		return vs_fail(r, "make a synthetic sample: %s", strerror(-r));
	tell_changes(s, now);
	tell_bursts(s, now);
	fill_self(s, &ret->self);
	ret->self.took_ns = vs_clock_mono_ns() - now;
	return 0;
}

static void source_window(void *self, bool open)
{
	struct source *s = self;

	if (open && s->windows++ == 0)
		s->since_ns = vs_clock_mono_ns();
	if (!open && --s->windows == 0)
		s->since_ns = UINT64_MAX;
}

static int source_deep_open(void *self, const struct vs_sample *sample, struct vs_deep_sample *ret)
{
	(void)self;
	(void)sample;
	(void)ret;
	vs_warn("open a deep window: synthetic VMs have none, ignoring");
	return -ENOTSUP;
}

static int source_deep_read(void *self, struct vs_deep_sample *ret)
{
	(void)self;
	(void)ret;
	return -ENOTSUP;
}

static void source_deep_close(void *self)
{
	(void)self;
}

static int source_tier(const void *self, const char **ret_why)
{
	(void)self;
	*ret_why = "the figures are synthetic";
	return 0;
}

static void source_free(void *self)
{
	struct source *s = self;

	vs_synthetic_free(&s->synthetic);
	free(s);
}

static const struct vs_source_ops ops = {
	.name = "synthetic",
	.sample = source_sample,
	.window = source_window,
	.deep_open = source_deep_open,
	.deep_read = source_deep_read,
	.deep_close = source_deep_close,
	.tier = source_tier,
	.free = source_free,
};

int vs_synthetic_source(const struct vs_synthetic_options *options,
			const struct vs_source_listener *listener, struct vs_source *ret)
{
	static const struct vs_kcaps nothing;
	struct source *s = calloc(1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	if (s) {
		s->options = *options;
		s->options.begin_ns = vs_clock_mono_ns();
		s->since_ns = UINT64_MAX;
		if (listener)
			s->listener = *listener;
		vs_plan_decide(&nothing, 1u << VS_HOOK_BPF, &s->plan);
		r = vs_synthetic_new(&s->options, &s->synthetic);
	}
	if (r) {
		free(s);
		return vs_fail(r, "make %u synthetic VMs: %s", options->vms, strerror(-r));
	}
	vs_warn("SYNTHETIC: %u VMs that do not exist, seed %llu; no figure that follows is real",
		options->vms, (unsigned long long)options->seed);
	*ret = (struct vs_source){ .ops = &ops, .self = s };
	return 0;
}
