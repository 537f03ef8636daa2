/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhost_maps.bpf.h - rows of virtqueues, and how both ways of seeing a worker count into them. */
#pragma once
#include "compat.bpf.h"
#include "maps.bpf.h"
#include "vm.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_VIRTQ__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vs_virtq_key);
	__type(value, struct vs_virtq);
} vs_virtq SEC(".maps");

/* A new row starts from this; too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vs_virtq);
} vs_virtq_zero SEC(".maps");

static __noinline struct vs_virtq *vs_virtq_new(struct vs_virtq_key *key, int direction)
{
	struct vs_virtq *q, *zero;
	__u32 none = 0;

	zero = bpf_map_lookup_elem(&vs_virtq_zero, &none);
	if (!zero || !key)
		return 0;
	if (bpf_map_update_elem(&vs_virtq, key, zero, BPF_NOEXIST)) {
		vs_count_lost(VS_LOST_VHOST_FULL);
		return 0;
	}
	q = bpf_map_lookup_elem(&vs_virtq, key);
	if (q)
		q->direction = direction;
	return q;
}

static __always_inline void vs_virtq_learn_vm(struct vs_virtq *q)
{
	struct vs_vm_ref *ref = vs_vm_of_current();

	if (!ref)
		return; /* user space does not know it yet; the next run asks again */
	q->gen = ref->gen;
	q->vm = ref->vm;
}

/* Bucket of a count: 0, 1, 2-3, 4-7, … */
static __always_inline __u32 vs_log2_bucket(__u32 n)
{
	__u32 b = 0;

	for (int i = 0; i < VS_LOG2__N - 1 && n; i++) {
		n >>= 1;
		b++;
	}
	return b;
}
