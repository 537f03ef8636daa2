/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu.h - a VM's use of CPUs between two samples.
 *
 * A thread runs, waits for a CPU (run delay), or sleeps; the scheduler counts
 * the first two, so idle = wall - run - run delay. For a vCPU, sleeping is the
 * guest's idling, and waiting is what the guest calls steal:
 *
 *	utilisation = sum run / sum (run + idle)	over the vCPU threads
 *	steal       = sum run delay / sum wall
 *
 * KVM lets a vCPU that has nothing to do poll for a while before it sleeps
 * (halt polling), which looks like running. Where KVM tells how long, that is
 * idle time, not run time.
 *
 * Layer:   model
 * State:   none
 * Threads: any
 */
#pragma once
#include "model/sample.h"

#include <jansson.h>

struct vs_cpu_time {
	uint64_t wall_ns, run_ns, run_delay_ns;
};

/**
 * vs_cpu_since() - one thread's time between two samples.
 * @now: a row of @b
 *
 * Return: false when @a does not have that thread, or another of that number.
 */
bool vs_cpu_since(const struct vs_sample *a, const struct vs_sample *b,
		  const struct vs_thread_sample *now, struct vs_cpu_time *ret);

/* wall - run - run delay, never below 0: the three are not read in one moment. */
uint64_t vs_cpu_idle_ns(const struct vs_cpu_time *t);

/* vms[].cpu of the report. Both samples sorted. Return: a new reference. */
json_t *vs_cpu_report(const struct vs_sample *a, const struct vs_sample *b,
		      const struct vs_vm_sample *vm);
