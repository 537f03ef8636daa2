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

/* A function of its own: three copies of the search in one program cost more
 * in cache misses than the calls do. */
static __noinline __u32 hist_index(__u64 ns)
{
	return vs_hist_index(ns);
}

static __always_inline void vs_hist_add(__u32 n[VS_HIST__N], __u64 ns, __u32 weight)
{
	__u32 i = hist_index(ns);

	if (i < VS_HIST__N) /* for the verifier */
		__sync_fetch_and_add(&n[i], weight);
}

static __always_inline void vs_tell(const struct vs_event *e)
{
	if (bpf_ringbuf_output(&vs_events, (void *)e, sizeof(*e), 0))
		vs_count_lost(VS_LOST_EVENT_FULL);
}

/* A place of one's own per CPU and program; nothing else of the same program
 * runs on this CPU meanwhile (the kernel skips it as recursion). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} vs_scratch SEC(".maps");

/*
 * Argument @n of a tracepoint as a plain number. In a tp_btf program it is a
 * typed pointer, with which the verifier lets nobody calculate, and to index a
 * table by an address one must: stored and loaded again it is a number. That
 * costs some ns; bpf_probe_read_kernel() of the context costs three times that.
 */
static __always_inline __u64 vs_arg(const __u64 *ctx, int n, const bool typed, __u32 place)
{
	volatile __u64 *p;

	if (!typed)
		return ctx[n];
	p = bpf_map_lookup_elem(&vs_scratch, &place);
	if (!p)
		return 0;
	*p = ctx[n];
	return *p;
}

static __always_inline __u64 vs_hash_ptr(__u64 p, __u32 bits)
{
	return (p * 0x9E3779B97F4A7C15ull) >> (64 - bits);
}
