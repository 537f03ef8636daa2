/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor_probes.h - does every probe load, in which form, and at what cost to the verifier?
 *
 * Layer:   app
 * State:   struct vs_doctor_probes: what was in the kernel for a moment
 * Threads: one
 */
#pragma once
#include "probe/loader.h"

#include <jansson.h>

struct vs_doctor_probes {
	struct {
		struct vs_program_sample all[VS_PLAN_PROGRAMS];
		uint32_t n;
	} of[VS_PROBE__COUNT];
};

/**
 * vs_doctor_probes_try() - load and attach all that @plan says, then take it out.
 * @plan: says afterwards what became of each probe. Those that are attached on
 *        demand only are tried as if it were asked for; vhost.worker, whose
 *        programs need the module, where that is loaded
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_doctor_probes_try(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan *plan,
			 struct vs_doctor_probes *ret);

/* Return: a new reference. */
json_t *vs_doctor_probes_json(const struct vs_plan *plan, const struct vs_doctor_probes *p);
void vs_doctor_probes_print(const struct vs_plan *plan, const struct vs_doctor_probes *p);
