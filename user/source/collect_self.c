/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collect_self.c - our own cost and losses, into a sample. */
#include "source/collect.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "probe/rooms.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

/* Sizes of maps hardly change, and each costs a file of /proc. */
#define MAPS_EVERY_NS (60 * VS_NS_PER_S)

static void fill_process(struct vs_self_sample *self)
{
	vs_autofclose FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (f && fscanf(f, "%*u %lu", &pages) == 1)
		self->rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	self->cpu_ns = vs_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void fill_losses(const struct vs_maps *m, struct vs_self_reader *own, struct vs_self_sample *self)
{
	if (!own->per_cpu) {
		own->cpus = libbpf_num_possible_cpus();
		own->per_cpu = calloc(own->cpus > 0 ? (size_t)own->cpus : 1, sizeof(*own->per_cpu));
	}
	for (uint32_t i = 0; own->per_cpu && m->lost >= 0 && i < VS_LOST__N; i++) {
		if (bpf_map_lookup_elem(m->lost, &i, own->per_cpu))
			continue;
		for (int cpu = 0; cpu < own->cpus; cpu++)
			self->lost[i] += own->per_cpu[cpu];
	}
}

static uint64_t in_use(const struct vs_slots *s)
{
	return s->next - 1 - s->count;
}

/* What we gave out we know; of the rest, what the last look saw. */
static void fill_maps(const struct vs_inventory *inv, struct vs_self_reader *own, const struct vs_sample *s,
		      struct vs_self_sample *self)
{
	const struct {
		const char *name;
		uint64_t used;
	} counts[] = {
		{ "vs_vnic", in_use(&inv->vnic_slots) }, { "vs_vnic_id", in_use(&inv->vnic_slots) },
		{ "vs_task", in_use(&inv->vm_slots) },	 { "vs_cgroup", inv->cgroups },
		{ "vs_dev", inv->devices },		 { "vs_burst", inv->bursts },
		{ "vs_rq_spill", inv->rq_spilled },	 { "vs_virtq", s->virtqs_n },
	};

	self->maps_n = own->maps_n;
	memcpy(self->maps, own->maps, own->maps_n * sizeof(own->maps[0]));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		vs_rooms_use(self->maps, self->maps_n, counts[i].name, counts[i].used);
}

static void fill_probes(const struct vs_plan *plan, struct vs_self_sample *self)
{
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		struct vs_probe_state *p = &self->probes[self->probes_n++];

		(void)snprintf(p->name, sizeof(p->name), "%s", plan->probes[i].name);
		p->state = vs_state_name(plan->probes[i].state);
		memcpy(p->reason, plan->probes[i].reason, sizeof(p->reason));
	}
}

void vs_self_read(const struct vs_inventory *inv, const struct vs_plan *plan,
		     const struct vs_vhost_probe *vhost, struct vs_self_reader *own, struct vs_sample *ret)
{
	struct vs_self_sample *self = &ret->self;
	int virtq = vs_vhost_probe_maps(vhost)->virtq;

	fill_process(self);
	fill_losses(vs_loader_maps(inv->loader), own, self);
	self->lost[VS_LOST_RQ_AGED] += inv->rq_aged;
	self->slots_full = inv->slots_full;
	self->programs_n = vs_loader_programs(inv->loader, self->programs, VS_PROGRAM__N);
	self->programs_n += vs_vhost_probe_programs(vhost, self->programs + self->programs_n,
						    VS_PROGRAM__N - self->programs_n);
	if (!own->maps_ns || virtq != own->virtq || ret->mono_ns - own->maps_ns >= MAPS_EVERY_NS) {
		own->maps_n = vs_rooms_read(own->maps, VS_MAP__N);
		own->maps_ns = ret->mono_ns;
		own->virtq = virtq;
	}
	fill_maps(inv, own, ret, self);
	fill_probes(plan, self);
}

void vs_self_reader_done(struct vs_self_reader *own)
{
	free(own->per_cpu);
	memset(own, 0, sizeof(*own));
}
