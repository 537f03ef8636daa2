/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * deep.h - the deep window: how long threads waited for a CPU, and who had it.
 *
 * Cumulative since the window's programs were attached; two of them make the
 * report's part "deep".
 *
 * Layer:   model
 * State:   struct vs_deep_sample, its owner's
 * Threads: the owner's
 */
#pragma once
#include "model/sample.h"

#include <jansson.h>

struct vs_deep_thread_sample {
	uint64_t vm_uid;
	uint32_t index; /* in the window's maps: its identity there */
	uint32_t tid;
	uint16_t role;
	int16_t vcpu; /* its number, -1: none */
	char name[16];
	bool waiting;	       /* at this very moment */
	uint64_t waited_ns;    /* all waits, also the one under way */
	uint64_t unexplained_ns;
	struct vs_hist delay; /* waits that have ended */
};

struct vs_deep_ran_sample {
	uint32_t index; /* of who waited */
	uint32_t tid, pid; /* who ran; pid is its process */
	char comm[16];
	uint64_t ns;
};

struct vs_deep_sample {
	uint64_t mono_ns;
	struct vs_deep_thread_sample *threads; /* by index */
	struct vs_deep_ran_sample *ran;	       /* sorted by vs_deep_sort() */
	size_t threads_n, ran_n, ran_size;
	uint32_t programs_n;
	struct vs_program_sample programs[4];
};

void vs_deep_sample_done(struct vs_deep_sample *s);
void vs_deep_sort(struct vs_deep_sample *s);

/* Charges the wait under way of thread @index, from @from_ns until @now_ns, to
 * who ran on its CPU. Return: what of it nobody is known for. */
uint64_t vs_deep_charge(struct vs_deep_sample *s, uint32_t index, const struct vs_deep_cpu *cpu,
			uint64_t from_ns, uint64_t now_ns);

/**
 * vs_deep_report() - the time from @a to @b.
 * @vms: names VMs, of those that waited and of those that ran
 *
 * Return: a new reference, or NULL when there is no memory.
 */
json_t *vs_deep_report(const struct vs_deep_sample *a, const struct vs_deep_sample *b,
		       const struct vs_sample *vms);
