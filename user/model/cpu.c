/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/cpu.h"

#include <math.h>
#include <string.h>

bool vs_cpu_since(const struct vs_sample *a, const struct vs_sample *b,
		  const struct vs_thread_sample *now, struct vs_cpu_time *ret)
{
	const struct vs_thread_sample *was;

	if (!a->threads_ns || b->threads_ns <= a->threads_ns)
		return false;
	was = vs_sample_find_thread(a, now->vm_uid, now->tid);
	/* The number may have been given to another thread since. */
	if (!was || was->start_ns != now->start_ns || was->run_ns > now->run_ns)
		return false;
	ret->wall_ns = b->threads_ns - a->threads_ns;
	ret->run_ns = now->run_ns - was->run_ns;
	ret->run_delay_ns = now->run_delay_ns - was->run_delay_ns;
	return true;
}

uint64_t vs_cpu_idle_ns(const struct vs_cpu_time *t)
{
	uint64_t busy = t->run_ns + t->run_delay_ns;

	return t->wall_ns > busy ? t->wall_ns - busy : 0;
}

/* Six digits: what lies below is noise of the moments of reading. */
static json_t *ratio(uint64_t part, uint64_t whole)
{
	double r = whole ? (double)part / (double)whole : 0;

	return whole ? json_real(round(fmin(r, 1.0) * 1e6) / 1e6) : json_null();
}

static json_t *thread(const struct vs_sample *a, const struct vs_sample *b,
		      const struct vs_thread_sample *t)
{
	struct vs_cpu_time time;
	bool known = vs_cpu_since(a, b, t, &time);

	return json_pack("{s:I,s:s,s:s,s:o,s:o,s:o}", "tid", (json_int_t)t->tid, "role",
			 vs_role_name(t->role), "name", t->name, "index",
			 t->index >= 0 ? json_integer(t->index) : json_null(), "run_ratio",
			 known ? ratio(time.run_ns, time.wall_ns) : json_null(), "run_delay_ratio",
			 known ? ratio(time.run_delay_ns, time.wall_ns) : json_null());
}

/* Return: exits by class, or NULL when either sample has none; *ret_polling_ns
 * is what all vCPUs polled. */
static json_t *kvm(const struct vs_sample *a, const struct vs_sample *b, uint64_t vm_uid,
		   uint64_t *ret_polling_ns)
{
	const struct vs_kvm_names *names = b->kvm_names;
	const struct vs_kvm_sample *now, *was;
	json_t *exits;

	if (!names || names != a->kvm_names)
		return NULL;
	now = vs_sample_find_kvm(b, vm_uid);
	was = vs_sample_find_kvm(a, vm_uid);
	if (!now || !was)
		return NULL;
	exits = json_object();
	*ret_polling_ns = 0;
	for (uint32_t i = 0; i < names->n; i++) {
		uint64_t since = now->value[i] - was->value[i];

		if (names->exits[i])
			(void)json_object_set_new(exits, names->name[i],
						  json_integer((json_int_t)since));
		else
			*ret_polling_ns += since;
	}
	return exits;
}

json_t *vs_cpu_report(const struct vs_sample *a, const struct vs_sample *b,
		      const struct vs_vm_sample *vm)
{
	uint64_t run = 0, idle = 0, delay = 0, wall = 0, polling = 0;
	json_t *threads = json_array(), *exits = kvm(a, b, vm->uid, &polling);
	bool told = exits && b->kvm_names->polling;
	uint32_t vcpus = 0;

	for (size_t i = 0; i < b->threads_n; i++) {
		const struct vs_thread_sample *t = &b->threads[i];
		struct vs_cpu_time time;

		if (t->vm_uid != vm->uid)
			continue;
		(void)json_array_append_new(threads, thread(a, b, t));
		if (t->role != VS_ROLE_VCPU)
			continue;
		vcpus++;
		if (!vs_cpu_since(a, b, t, &time))
			continue;
		run += time.run_ns;
		idle += vs_cpu_idle_ns(&time);
		delay += time.run_delay_ns;
		wall += time.wall_ns;
	}
	if (!vcpus)
		vcpus = vm->vcpus;
	if (!told)
		polling = 0;
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "utilization_ratio",
			 ratio(run > polling ? run - polling : 0, wall ? run + idle : 0),
			 "steal_ratio", ratio(delay, wall), "vcpus",
			 vcpus ? json_integer(vcpus) : json_null(), "halt_polling",
			 wall ? json_string(told ? "subtracted" : "included") : json_null(),
			 "exits", exits ? exits : json_null(), "threads",
			 b->threads_ns ? threads : (json_decref(threads), json_null()));
}
