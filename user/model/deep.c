/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/deep.h"

#include "base/histogram.h"
#include "model/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More names say no more; what the others had is summed. */
#define NAMED 10

void vs_deep_sample_done(struct vs_deep_sample *s)
{
	free(s->threads);
	free(s->ran);
	memset(s, 0, sizeof(*s));
}

static int order(const void *x, const void *y)
{
	const struct vs_deep_ran_sample *a = x, *b = y;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return (a->tid > b->tid) - (a->tid < b->tid);
}

/* Rows of one key become one: a wait under way is charged beside those that ended. */
void vs_deep_sort(struct vs_deep_sample *s)
{
	size_t n = 0;

	if (s->ran_n)
		qsort(s->ran, s->ran_n, sizeof(*s->ran), order);
	for (size_t i = 0; i < s->ran_n; i++) {
		if (n && order(&s->ran[n - 1], &s->ran[i]) == 0)
			s->ran[n - 1].ns += s->ran[i].ns;
		else
			s->ran[n++] = s->ran[i];
	}
	s->ran_n = n;
}

uint64_t vs_deep_charge(struct vs_deep_sample *s, uint32_t index, const struct vs_deep_cpu *cpu,
			uint64_t from_ns, uint64_t now_ns)
{
	uint64_t end = now_ns;

	for (uint32_t i = 1; i <= VS_RAN__N && i <= cpu->head && end > from_ns && s->ran_n < s->ran_size;
	     i++) {
		const struct vs_deep_slice *slice = &cpu->ran[(cpu->head - i) % VS_RAN__N];
		uint64_t begin = slice->in_ns > from_ns ? slice->in_ns : from_ns;
		struct vs_deep_ran_sample *r;

		if (begin >= end)
			continue;
		r = &s->ran[s->ran_n++];
		*r = (struct vs_deep_ran_sample){ .index = index,
						  .tid = slice->tid,
						  .pid = slice->tgid,
						  .ns = end - begin };
		memcpy(r->comm, slice->comm, sizeof(r->comm));
		end = begin;
	}
	return end > from_ns ? end - from_ns : 0;
}

static json_t *us(uint64_t ns)
{
	return json_real((double)ns / 1000.0);
}

static const struct vs_vm_sample *vm_of_uid(const struct vs_sample *s, uint64_t uid)
{
	for (size_t i = 0; i < s->vms_n; i++)
		if (s->vms[i].uid == uid)
			return &s->vms[i];
	return NULL;
}

/* Whose process, or whose worker outside of its process, was that? */
static const struct vs_vm_sample *vm_of_task(const struct vs_sample *s, uint32_t pid, uint32_t tid)
{
	for (size_t i = 0; i < s->vms_n; i++)
		if (s->vms[i].pid == pid)
			return &s->vms[i];
	for (size_t i = 0; i < s->threads_n; i++)
		if (s->threads[i].tid == tid)
			return vm_of_uid(s, s->threads[i].vm_uid);
	return NULL;
}

static int by_time(const void *x, const void *y)
{
	const struct vs_deep_ran_sample *a = x, *b = y;

	return (a->ns < b->ns) - (a->ns > b->ns);
}

static json_t *ran_row(const struct vs_sample *vms, const struct vs_deep_ran_sample *r,
		       uint64_t waited_ns)
{
	const struct vs_vm_sample *vm = vm_of_task(vms, r->pid, r->tid);
	double share = waited_ns ? (double)r->ns / (double)waited_ns : 0;

	return json_pack("{s:o,s:I,s:I,s:o,s:o,s:f}", "comm",
			 json_stringn(r->comm, strnlen(r->comm, sizeof(r->comm))), "pid",
			 (json_int_t)r->pid, "tid", (json_int_t)r->tid, "vm",
			 vm ? json_string(vm->name) : json_null(), "time_us", us(r->ns), "share",
			 round(fmin(share, 1) * 1e4) / 1e4);
}

/* Where the rows of thread @index begin, or would. */
static size_t first_of(const struct vs_deep_sample *s, uint32_t index)
{
	size_t low = 0, high = s->ran_n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->ran[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Who ran while thread @index waited. Return: list; *ret_other_ns is the rest. */
static json_t *ran_instead(const struct vs_deep_sample *a, const struct vs_deep_sample *b,
			   const struct vs_sample *vms, uint32_t index, uint64_t waited_ns,
			   uint64_t *ret_other_ns)
{
	size_t n = 0, first = first_of(b, index), end = first_of(b, index + 1);
	struct vs_deep_ran_sample *rows = calloc(end - first + 1, sizeof(*rows));
	json_t *list = json_array();

	*ret_other_ns = 0;
	for (size_t i = first; rows && i < end; i++) {
		const struct vs_deep_ran_sample *was =
			a->ran_n ? bsearch(&b->ran[i], a->ran, a->ran_n, sizeof(*a->ran), order) :
				   NULL;

		rows[n] = b->ran[i];
		if (was)
			rows[n].ns = rows[n].ns > was->ns ? rows[n].ns - was->ns : 0;
		n += rows[n].ns > 0;
	}
	if (n)
		qsort(rows, n, sizeof(*rows), by_time);
	for (size_t i = 0; i < n; i++) {
		if (i < NAMED)
			(void)json_array_append_new(list, ran_row(vms, &rows[i], waited_ns));
		else
			*ret_other_ns += rows[i].ns;
	}
	free(rows);
	return list;
}

static json_t *thread(const struct vs_deep_sample *a, const struct vs_deep_sample *b,
		      const struct vs_sample *vms, const struct vs_deep_thread_sample *t)
{
	static const struct vs_deep_thread_sample none;
	const struct vs_deep_thread_sample *was = t->index < a->threads_n ? &a->threads[t->index] :
									     &none;
	const struct vs_vm_sample *vm = vm_of_uid(vms, t->vm_uid);
	json_t *delay, *ran;
	uint64_t waited, other;
	struct vs_hist h;

	if (was->tid != t->tid)
		was = &none;
	waited = t->waited_ns > was->waited_ns ? t->waited_ns - was->waited_ns : 0;
	vs_hist_diff(&t->delay, &was->delay, &h);
	if (!vm || (!waited && t->role != VS_ROLE_VCPU && t->role != VS_ROLE_WORKER))
		return NULL; /* nothing to tell */
	delay = json_object();
	(void)json_object_set_new(delay, "count", json_integer((json_int_t)vs_hist_count(&h)));
	vs_report_set_distribution(delay, &h);
	ran = ran_instead(a, b, vms, t->index, waited, &other);
	return json_pack("{s:s,s:I,s:I,s:s,s:s,s:o,s:o,s:b,s:o,s:o,s:o,s:o}", "vm", vm->name, "pid",
			 (json_int_t)vm->pid, "tid", (json_int_t)t->tid, "role",
			 vs_role_name(t->role), "name", t->name, "index",
			 t->vcpu >= 0 ? json_integer(t->vcpu) : json_null(), "waited_us", us(waited),
			 "waiting", t->waiting, "run_delay_us", delay, "ran_instead", ran,
			 "other_us", us(other), "unexplained_us",
			 us(t->unexplained_ns > was->unexplained_ns ?
				    t->unexplained_ns - was->unexplained_ns :
				    0));
}

static json_t *cost(const struct vs_deep_sample *a, const struct vs_deep_sample *b)
{
	json_t *programs = json_object(), *per_run = json_object();

	for (uint32_t i = 0; i < b->programs_n; i++) {
		/* A reading from before they were attached has none: zeros. */
		const struct vs_program_sample *p = &b->programs[i], *o = &a->programs[i];
		uint64_t ns = p->run_time_ns - o->run_time_ns, runs = p->run_cnt - o->run_cnt;

		(void)json_object_set_new(programs, p->name,
					  json_pack("{s:I,s:I,s:I}", "run_time_ns", (json_int_t)ns,
						    "run_cnt", (json_int_t)runs, "recursion_misses",
						    (json_int_t)(p->recursion_misses -
								 o->recursion_misses)));
		(void)json_object_set_new(per_run, p->name,
					  runs ? json_real(round((double)ns * 10 / (double)runs) / 10) :
						 json_null());
	}
	return json_pack("{s:o,s:o}", "programs", programs, "ns_per_run", per_run);
}

json_t *vs_deep_report(const struct vs_deep_sample *a, const struct vs_deep_sample *b,
		       const struct vs_sample *vms)
{
	json_t *threads = json_array();

	for (size_t i = 0; i < b->threads_n; i++) {
		json_t *row = thread(a, b, vms, &b->threads[i]);

		if (row)
			(void)json_array_append_new(threads, row);
	}
	return json_pack("{s:f,s:o,s:o}", "duration_s",
			 round((double)(b->mono_ns - a->mono_ns) / 1e3) / 1e6, "cost", cost(a, b),
			 "threads", threads);
}
