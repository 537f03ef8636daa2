/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/doctor_probes.h"

#include "base/log.h"
#include "probe/deep.h"
#include "probe/tasks.h"
#include "probe/vhost.h"

#include <string.h>
#include <unistd.h>

/* The loader knows programs, not probes: the plan tells whose they are. */
static void sort_by_probe(const struct vs_loader *loader, const struct vs_plan *plan,
			  struct vs_doctor_probes *ret)
{
	struct vs_program_sample all[VS_PROGRAM__N];
	uint32_t n = vs_loader_programs(loader, all, VS_PROGRAM__N);

	for (int i = 0; i < VS_PROBE__COUNT; i++)
		for (uint32_t k = 0; k < plan->probes[i].programs_n; k++)
			for (uint32_t a = 0; a < n; a++)
				if (strcmp(all[a].name, plan->probes[i].programs[k]) == 0)
					ret->of[i].all[ret->of[i].n++] = all[a];
}

/* Attached while a VM uses vhost-net: here for a moment, as if one did. */
static void try_vhost(const struct vs_kcaps *caps, unsigned int denied,
		      const struct vs_loader *loader, struct vs_plan *plan,
		      struct vs_doctor_probes *ret)
{
	struct vs_plan_probe *p = &plan->probes[VS_PROBE_VHOST_WORKER];
	struct vs_vhost_probe *vhost;

	if (access("/sys/module/vhost_net", F_OK)) {
		(void)snprintf(p->reason, sizeof(p->reason),
			       "not needed: no VM uses vhost-net, its module is not loaded");
		return;
	}
	if (vs_vhost_probe_new(caps, denied, loader, p, &vhost))
		return;
	(void)vs_vhost_probe_update(vhost, true, 0);
	ret->of[VS_PROBE_VHOST_WORKER].n = vs_vhost_probe_programs(
		vhost, ret->of[VS_PROBE_VHOST_WORKER].all, VS_PLAN_PROGRAMS);
	vs_vhost_probe_free(&vhost);
}

static void refused(struct vs_plan_probe *p, enum vs_state state, int r)
{
	p->state = state;
	p->programs_n = 0;
	(void)snprintf(p->reason, sizeof(p->reason), "load: %s", strerror(-r));
	vs_warn("load probe '%s': %s; %s", p->name, strerror(-r), p->lost);
}

static void try_threads(const struct vs_loader *loader, struct vs_plan *plan,
			struct vs_doctor_probes *ret)
{
	struct vs_plan_probe *p = &plan->probes[VS_PROBE_CPU_THREADS];
	struct vs_tasks *tasks;
	int r;

	if (!p->programs_n)
		return;
	r = vs_tasks_open(vs_loader_maps(loader), &tasks);
	if (r) {
		refused(p, VS_STATE_FALLBACK, r);
		return;
	}
	ret->of[VS_PROBE_CPU_THREADS].n =
		vs_tasks_programs(tasks, ret->of[VS_PROBE_CPU_THREADS].all, VS_PLAN_PROGRAMS);
	vs_tasks_close(&tasks);
}

static void try_deep(const struct vs_loader *loader, struct vs_plan *plan,
		     struct vs_doctor_probes *ret)
{
	struct vs_plan_probe *p = &plan->probes[VS_PROBE_SCHED_DEEP];
	struct vs_deep *deep;
	int r;

	if (!p->programs_n)
		return;
	r = vs_deep_open(vs_loader_maps(loader), plan, 1, &deep);
	if (!r) {
		r = vs_deep_start(deep);
		if (r)
			vs_deep_close(&deep);
	}
	if (r) {
		refused(p, VS_STATE_FAILED, r);
		return;
	}
	ret->of[VS_PROBE_SCHED_DEEP].n =
		vs_deep_programs(deep, ret->of[VS_PROBE_SCHED_DEEP].all, VS_PLAN_PROGRAMS);
	vs_deep_close(&deep);
	if (p->state != VS_STATE_ACTIVE || !strncmp(ret->of[VS_PROBE_SCHED_DEEP].all[0].hook, "tp_btf/", 7))
		return;
	p->state = VS_STATE_FALLBACK;
	(void)snprintf(p->reason, sizeof(p->reason),
		       "on demand: report --deep; raw_tp: the kernel refused the typed program");
}

int vs_doctor_probes_try(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan *plan,
			 struct vs_doctor_probes *ret)
{
	struct vs_loader *loader = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = vs_loader_new(caps, plan, 255, &loader);
	if (r)
		return r;
	sort_by_probe(loader, plan, ret);
	if (plan->tier) {
		try_vhost(caps, denied, loader, plan, ret);
		try_threads(loader, plan, ret);
		try_deep(loader, plan, ret);
	}
	vs_loader_free(&loader);
	return 0;
}

/* The word before the slash: tp_btf, raw_tp, fentry, fexit, kprobe, kretprobe, iter. */
static int form_length(const struct vs_program_sample *p)
{
	return (int)strcspn(p->hook, "/");
}

static json_t *loaded_json(const struct vs_program_sample *p)
{
	return json_pack("{s:s,s:s%,s:s,s:o}", "program", p->name, "form", p->hook,
			 (size_t)form_length(p), "hook", p->hook, "verified_insns",
			 p->verified_insns ? json_integer(p->verified_insns) : json_null());
}

json_t *vs_doctor_probes_json(const struct vs_plan *plan, const struct vs_doctor_probes *tried)
{
	json_t *probes = json_object();

	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		const struct vs_plan_probe *p = &plan->probes[i];
		json_t *programs = json_array(), *loaded = json_array();

		for (uint32_t k = 0; k < p->programs_n; k++)
			(void)json_array_append_new(programs, json_string(p->programs[k]));
		for (uint32_t k = 0; k < tried->of[i].n; k++)
			(void)json_array_append_new(loaded, loaded_json(&tried->of[i].all[k]));
		(void)json_object_set_new(
			probes, p->name,
			json_pack("{s:s,s:s,s:o,s:s,s:o,s:o}", "state", vs_state_name(p->state),
				  "gives", p->gives, "reason",
				  *p->reason ? json_string(p->reason) : json_null(), "lost_without",
				  p->lost, "programs", programs, "loaded", loaded));
	}
	return probes;
}

void vs_doctor_probes_print(const struct vs_plan *plan, const struct vs_doctor_probes *tried)
{
	(void)printf("\nprobes\n");
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		const struct vs_plan_probe *p = &plan->probes[i];

		(void)printf("  %-8s  %-16s %s\n", vs_state_name(p->state), p->name, p->gives);
		if (*p->reason)
			(void)printf("            %s\n", p->reason);
		if (p->state < VS_STATE_FALLBACK && strncmp(p->reason, "not needed", 10))
			(void)printf("            so: %s\n", p->lost);
		for (uint32_t k = 0; k < tried->of[i].n; k++) {
			const struct vs_program_sample *s = &tried->of[i].all[k];

			(void)printf("            %-22s %-36s", s->name, s->hook);
			if (s->verified_insns)
				(void)printf(" %6u instructions verified", s->verified_insns);
			(void)putchar('\n');
		}
	}
}
