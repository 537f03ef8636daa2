/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/deep.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include "sched.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <uthash.h>

/* Threads that begin while windows overlap. */
#define SPARE 256

struct watched {
	uint32_t tid;
	uint32_t index;
	uint64_t start_ns;
	uint64_t vm_uid;
	uint16_t role;
	int16_t vcpu;
	char name[16];
	UT_hash_handle hh; /* by tid */
};

struct vs_deep {
	struct sched_bpf *skel;
	struct vs_attached attached[VS_PLAN_PROGRAMS];
	uint32_t attached_n;
	struct vs_deep_thread *rows; /* the map, mapped */
	size_t rows_size;	     /* bytes */
	uint32_t room, used;	     /* indexes; 0 is nobody */
	struct watched *watched;
};

/* The programs that @plan chose; @raw: in their other form. */
static int select_programs(struct vs_deep *d, const struct vs_plan_probe *p, bool raw)
{
	for (uint32_t i = 0; i < p->programs_n; i++) {
		struct bpf_program *prog;
		char name[64];

		(void)snprintf(name, sizeof(name), "%s%s", p->programs[i], raw ? "_raw" : "");
		prog = bpf_object__find_program_by_name(d->skel->obj, name);
		if (!prog)
			return -ENOENT;
		(void)bpf_program__set_autoload(prog, true);
	}
	return 0;
}

static int load(struct vs_deep *d, const struct vs_maps *maps, const struct vs_plan_probe *p,
		bool raw)
{
	int cpus = libbpf_num_possible_cpus(), r;

	if (cpus < 0)
		return cpus;
	d->skel = sched_bpf__open();
	r = d->skel ? vs_maps_share(maps, d->skel->obj) : -errno;
	if (!r)
		r = bpf_map__set_max_entries(d->skel->maps.vs_deep_cpu, (uint32_t)cpus);
	if (!r)
		r = bpf_map__set_max_entries(d->skel->maps.vs_deep_thread, d->room);
	if (!r)
		r = bpf_map__set_max_entries(d->skel->maps.vs_watch, d->room);
	if (!r)
		r = select_programs(d, p, raw);
	if (!r)
		r = sched_bpf__load(d->skel);
	if (r) {
		sched_bpf__destroy(d->skel);
		d->skel = NULL;
	}
	return r;
}

int vs_deep_start(struct vs_deep *d)
{
	struct bpf_program *prog;

	if (d->attached_n)
		return 0;
	bpf_object__for_each_program(prog, d->skel->obj)
	{
		int r;

		if (!bpf_program__autoload(prog))
			continue;
		r = vs_attach(d->skel->obj, bpf_program__name(prog), &d->attached[d->attached_n]);
		if (r)
			return r;
		d->attached_n++;
	}
	return 0;
}

static int map_rows(struct vs_deep *d)
{
	void *at;

	d->rows_size = (d->room * sizeof(*d->rows) + 4095) & ~4095ul;
	at = mmap(NULL, d->rows_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		  bpf_map__fd(d->skel->maps.vs_deep_thread), 0);
	if (at == MAP_FAILED)
		return -errno;
	d->rows = at;
	return 0;
}

int vs_deep_open(const struct vs_maps *maps, const struct vs_plan *plan, size_t threads,
		 struct vs_deep **ret)
{
	const struct vs_plan_probe *p = &plan->probes[VS_PROBE_SCHED_DEEP];
	struct vs_deep *d;
	int r;

	if (!p->programs_n)
		return -ENOTSUP;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->room = (uint32_t)threads + SPARE;
	d->used = 1;
	r = load(d, maps, p, false);
	if (r && p->state == VS_STATE_ACTIVE)
		r = load(d, maps, p, true);
	if (!r)
		r = map_rows(d);
	if (r) {
		vs_deep_close(&d);
		return r;
	}
	*ret = d;
	return 0;
}

void vs_deep_stop(struct vs_deep *d)
{
	for (uint32_t i = 0; i < d->attached_n; i++) {
		(void)bpf_link__destroy(d->attached[i].link);
		d->attached[i].link = NULL;
	}
}

void vs_deep_close(struct vs_deep **deep)
{
	struct vs_deep *d = *deep;
	struct watched *w, *tmp;

	if (!d)
		return;
	vs_deep_stop(d);
	if (d->rows)
		(void)munmap(d->rows, d->rows_size);
	sched_bpf__destroy(d->skel);
	HASH_ITER(hh, d->watched, w, tmp)
	{
		HASH_DEL(d->watched, w);
		free(w);
	}
	free(d);
	*deep = NULL;
}

static int watch(struct vs_deep *d, const struct vs_thread_sample *t)
{
	struct watched *w;

	HASH_FIND(hh, d->watched, &t->tid, sizeof(t->tid), w);
	if (w && w->start_ns == t->start_ns && w->vm_uid == t->vm_uid)
		return 0;
	if (d->used == d->room)
		return 1;
	if (w) { /* the number was given to another thread */
		HASH_DEL(d->watched, w);
		free(w);
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->tid = t->tid;
	w->index = d->used++;
	w->start_ns = t->start_ns;
	w->vm_uid = t->vm_uid;
	w->role = t->role;
	w->vcpu = t->index;
	memcpy(w->name, t->name, sizeof(w->name));
	HASH_ADD(hh, d->watched, tid, sizeof(w->tid), w);
	d->rows[w->index].tid = w->tid;
	/* A wait under way began before the window: what is left of it counts. By
	 * now it may have got its CPU; then its next switch says so. */
	if (t->waits_on) {
		d->rows[w->index].cpu = t->waits_on - 1;
		d->rows[w->index].told_ns = vs_clock_mono_ns();
		d->rows[w->index].wait_ns = d->rows[w->index].told_ns;
	}
	if (bpf_map_update_elem(bpf_map__fd(d->skel->maps.vs_watch), &w->tid, &w->index, BPF_ANY))
		return 1;
	return 0;
}

int vs_deep_watch(struct vs_deep *d, const struct vs_sample *s)
{
	int missed = 0;

	for (size_t i = 0; i < s->threads_n; i++) {
		int r = watch(d, &s->threads[i]);

		if (r < 0)
			return r;
		missed += r;
	}
	return missed;
}

/* All in one call, so that they are of one moment, nearly. */
static int read_ran(const struct vs_deep *d, struct vs_deep_sample *s)
{
	vs_autofree struct vs_deep_key *keys = calloc(VS_DEEP_RAN__N, sizeof(*keys));
	vs_autofree struct vs_deep_ran *values = calloc(VS_DEEP_RAN__N, sizeof(*values));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = VS_DEEP_RAN__N, position;

	if (!keys || !values)
		return -ENOMEM;
	/* -ENOENT says that these were the last. */
	if (bpf_map_lookup_batch(bpf_map__fd(d->skel->maps.vs_deep_ran), NULL, &position, keys, values,
				 &n, &opts) &&
	    errno != ENOENT)
		n = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct vs_deep_ran_sample *r = &s->ran[s->ran_n++];

		*r = (struct vs_deep_ran_sample){ .index = keys[i].thread,
						  .tid = keys[i].tid,
						  .pid = values[i].tgid,
						  .ns = values[i].ns };
		memcpy(r->comm, values[i].comm, sizeof(r->comm));
	}
	return 0;
}

/* A thread that waits at this moment, and who has its CPU. BPF goes on: a wait
 * that ends while we read is told once too often or not at all. */
static void add_waiting(const struct vs_deep *d, struct vs_deep_sample *s,
			struct vs_deep_thread_sample *t, const struct vs_deep_thread *row)
{
	int map = bpf_map__fd(d->skel->maps.vs_deep_cpu);
	struct vs_deep_cpu cpu;
	uint32_t at = row->cpu;
	uint64_t since = row->wait_ns, told = row->told_ns;

	if (!since || since >= s->mono_ns || bpf_map_lookup_elem(map, &at, &cpu))
		return;
	t->waiting = true;
	t->waited_ns += s->mono_ns - since;
	if (told < s->mono_ns)
		t->unexplained_ns += vs_deep_charge(s, t->index, &cpu, told, s->mono_ns);
}

uint32_t vs_deep_programs(const struct vs_deep *d, struct vs_program_sample *ret, uint32_t size)
{
	return vs_attached_programs(d->attached, d->attached_n, ret, size);
}

int vs_deep_read(struct vs_deep *d, struct vs_deep_sample *ret)
{
	struct watched *w, *tmp;

	vs_deep_sample_done(ret);
	ret->threads = calloc(d->used, sizeof(*ret->threads));
	ret->ran_size = 2 * VS_DEEP_RAN__N;
	ret->ran = calloc(ret->ran_size, sizeof(*ret->ran));
	if (!ret->threads || !ret->ran) {
		vs_deep_sample_done(ret);
		return -ENOMEM;
	}
	ret->threads_n = d->used;
	if (read_ran(d, ret)) {
		vs_deep_sample_done(ret);
		return -ENOMEM;
	}
	ret->mono_ns = vs_clock_mono_ns();
	HASH_ITER(hh, d->watched, w, tmp)
	{
		struct vs_deep_thread_sample *t = &ret->threads[w->index];
		const struct vs_deep_thread *row = &d->rows[w->index];

		*t = (struct vs_deep_thread_sample){ .vm_uid = w->vm_uid,
						     .index = w->index,
						     .tid = w->tid,
						     .role = w->role,
						     .vcpu = w->vcpu,
						     .unexplained_ns = row->unexplained_ns,
						     .delay = row->delay };
		memcpy(t->name, w->name, sizeof(t->name));
		t->waited_ns = t->delay.sum_ns;
		add_waiting(d, ret, t, row);
	}
	ret->programs_n = vs_deep_programs(d, ret->programs,
					   sizeof(ret->programs) / sizeof(ret->programs[0]));
	vs_deep_sort(ret);
	return 0;
}
