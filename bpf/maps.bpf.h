/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps.bpf.h - the maps that several objects share, and how to add to them.
 *
 * Each object declares them; the loader makes them once and hands the same
 * ones to all objects by name.
 */
#pragma once
#include "abi.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VS_LOST__N);
	__type(key, __u32);
	__type(value, __u64);
} vs_lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} vs_events SEC(".maps");

/* tgid -> VM */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_VM__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct vs_vm_ref);
} vs_task SEC(".maps");

static __always_inline void vs_count_lost(enum vs_lost why)
{
	__u32 k = why;
	__u64 *n = bpf_map_lookup_elem(&vs_lost, &k);

	if (n)
		*n += 1; /* per CPU, and a torn count is better than an atomic here */
}

static __always_inline void vs_hist_add(struct vs_hist *h, __u64 ns, __u32 weight)
{
	__u32 i = vs_hist_index(ns);

	if (i >= VS_HIST__N) /* for the verifier */
		return;
	__sync_fetch_and_add(&h->n[i], weight);
	__sync_fetch_and_add(&h->sum_ns, ns * weight);
}

static __always_inline void vs_tell(const struct vs_event *e)
{
	if (bpf_ringbuf_output(&vs_events, (void *)e, sizeof(*e), 0))
		vs_count_lost(VS_LOST_EVENT_FULL);
}

static __always_inline __u32 vs_hash_ptr(__u64 p, __u32 bits)
{
	return (p * 0x9E3779B97F4A7C15ull) >> (64 - bits);
}
