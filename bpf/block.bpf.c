/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block.bpf.c - disk requests of VMs: how many, how large, how long.
 *
 * A request is followed from its start (where the submitter is known) over
 * its issue to the device to its completion. Requests are preallocated by the
 * block layer, so a direct-mapped table indexed by their address replaces the
 * insert and delete in a hash that such a probe usually pays for; two live
 * requests that meet in one place are told apart by the address, the second
 * goes to a spill hash.
 */
#include "compat.bpf.h"
#include "maps.bpf.h"
#include "vm.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* Cgroups in vs_cgroup; 0 spares everybody's requests the walk. */
__u32 vs_cgroup_n = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_VM__N * 2);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct vs_vm_ref);
} vs_cgroup SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << VS_RQ_BITS);
	__type(key, __u32);
	__type(value, struct vs_rq);
} vs_rq SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_RQ_SPILL__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct vs_rq);
} vs_rq_spill SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_DISK_ROW__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vs_disk_key);
	__type(value, struct vs_disk_row);
} vs_disk SEC(".maps");

/* A new row starts from this; too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vs_disk_row);
} vs_disk_zero SEC(".maps");

/* The operation as the kernel's own disk statistics sort it; VS_OP__N: not
 * a VM's business (passthrough, zone management, the flush machinery's own). */
static __always_inline __u32 op_of(struct request *rq, const bool typed)
{
	__u32 flags = vs_read(typed, rq, cmd_flags);

	switch (flags & 0xff) {
	case 0: /* REQ_OP_READ */
		return VS_OP_READ;
	case 1: /* REQ_OP_WRITE; a PREFLUSH without data is somebody's fsync */
		if ((flags & (1u << bpf_core_enum_value(enum req_flag_bits, __REQ_PREFLUSH))) &&
		    vs_read(typed, rq, __data_len) == 0)
			return VS_OP_FLUSH;
		return VS_OP_WRITE;
	case 3: /* REQ_OP_DISCARD */
		return VS_OP_DISCARD;
	case 5: /* REQ_OP_SECURE_ERASE */
	case 7: /* REQ_OP_ZONE_APPEND; 9 before 6.?: both count as written */
	case 9: /* REQ_OP_WRITE_ZEROES */
		return VS_OP_WRITE;
	}
	return VS_OP__N;
}

static __always_inline struct vs_vm_ref *vm_of_bio(struct request *rq)
{
	struct bio *bio = BPF_CORE_READ(rq, bio);
	__u64 id;

	if (!bio)
		return 0;
	id = BPF_CORE_READ(bio, bi_blkg, blkcg, css.cgroup, kn, id);
	return bpf_map_lookup_elem(&vs_cgroup, &id);
}

static __always_inline int start(struct request *rq, __u64 key, const bool typed)
{
	__u32 i = vs_hash_ptr(key, VS_RQ_BITS), op = op_of(rq, typed);
	struct vs_rq fresh = {}, *r = bpf_map_lookup_elem(&vs_rq, &i);
	struct vs_vm_ref *vm;

	if (!r || op == VS_OP__N)
		return 0;
	vm = vs_vm_of_current();
	if (!vm && vs_cgroup_n) {
		vm = vm_of_bio(rq);
		fresh.by_cgroup = !!vm;
	}
	if (vm) {
		fresh.vm = vm->vm;
		fresh.gen = vm->gen;
	}
	fresh.op = op;
	fresh.rq = key;
	/* Not rq->start_time_ns: since 6.18 it is set just after block_io_start,
	 * so what it holds here is of the request's last use. */
	fresh.start_ns = bpf_ktime_get_ns();

	if (r->rq && r->rq != key) {
		if ((__s64)(fresh.start_ns - r->start_ns) < (__s64)VS_RQ_AGE_NS) {
			if (bpf_map_update_elem(&vs_rq_spill, &key, &fresh, BPF_ANY))
				vs_count_lost(VS_LOST_RQ_SPILL_FULL);
			return 0;
		}
		vs_count_lost(VS_LOST_RQ_AGED);
	}
	if (r->rq == key) /* started again, and nobody saw its last end */
		vs_count_lost(VS_LOST_RQ_UNSEEN_END);
	r->rq = 0;
	barrier();
	r->start_ns = fresh.start_ns;
	r->issue_ns = 0;
	r->vm = fresh.vm;
	r->gen = fresh.gen;
	r->op = op;
	r->by_cgroup = fresh.by_cgroup;
	barrier();
	r->rq = key;
	return 0;
}

/* @key: the request's address. */
static __always_inline struct vs_rq *find(__u64 key)
{
	__u32 i = vs_hash_ptr(key, VS_RQ_BITS);
	struct vs_rq *r = bpf_map_lookup_elem(&vs_rq, &i);

	if (r && r->rq == key)
		return r;
	return bpf_map_lookup_elem(&vs_rq_spill, &key);
}

/* The last issue counts: a driver that was busy gives the request back, and
 * what it waits then is queueing. */
static __always_inline int issue(__u64 key)
{
	struct vs_rq *r = find(key);

	if (r)
		r->issue_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline struct vs_disk_row *row_of(struct vs_disk_key *k)
{
	struct vs_disk_row *row = bpf_map_lookup_elem(&vs_disk, k), *zero;
	__u32 i = 0;

	if (row)
		return row;
	zero = bpf_map_lookup_elem(&vs_disk_zero, &i);
	if (!zero)
		return 0;
	bpf_map_update_elem(&vs_disk, k, zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&vs_disk, k);
}

static __always_inline void add(struct vs_disk_row *row, __u32 part, __u64 ns)
{
	__u32 i = hist_index(ns);

	if (i < VS_HIST__N) /* for the verifier */
		__sync_fetch_and_add(&row->n[i][part], 1);
}

static __always_inline int complete(struct request *rq, __u64 key, int error, __u32 bytes,
				    const bool typed)
{
	struct vs_rq *r = find(key);
	struct vs_disk_key k = {};
	struct vs_disk_row *row;
	struct gendisk *disk;
	__u64 now, start_ns, issue_ns;
	__u32 by_cgroup;
	bool last;

	if (!r) {
		if (op_of(rq, typed) != VS_OP__N)
			vs_count_lost(VS_LOST_RQ_UNTRACKED);
		return 0;
	}
	k.vm = r->vm;
	k.gen = r->gen;
	k.op = r->op;
	start_ns = r->start_ns;
	issue_ns = r->issue_ns;
	by_cgroup = r->by_cgroup;
	/* May come in portions; the request ends with the one that empties it. */
	last = bytes >= vs_read(typed, rq, __data_len);
	if (last) {
		__u32 i = vs_hash_ptr(key, VS_RQ_BITS);
		struct vs_rq *own = bpf_map_lookup_elem(&vs_rq, &i);

		if (own && own == r)
			r->rq = 0;
		else
			bpf_map_delete_elem(&vs_rq_spill, &key);
	}
	disk = vs_rq_disk(rq, typed);
	if (!disk)
		return 0;
	k.dev = ((__u32)vs_read(typed, disk, major) << 20) | (__u32)vs_read(typed, disk, first_minor);
	row = row_of(&k);
	if (!row) {
		vs_count_lost(VS_LOST_DISK_FULL);
		return 0;
	}
	__sync_fetch_and_add(&row->bytes, bytes);
	if (error)
		__sync_fetch_and_add(&row->errors, 1);
	if (!last)
		return 0;
	now = bpf_ktime_get_ns();
	if (by_cgroup)
		__sync_fetch_and_add(&row->by_cgroup, 1);
	add(row, VS_PART_TOTAL, now - start_ns);
	__sync_fetch_and_add(&row->total_ns, now - start_ns);
	if (!issue_ns) { /* ended without the device: an error, or an empty flush */
		__sync_fetch_and_add(&row->unissued_ns, now - start_ns);
		return 0;
	}
	add(row, VS_PART_QUEUE, issue_ns - start_ns);
	add(row, VS_PART_DEVICE, now - issue_ns);
	__sync_fetch_and_add(&row->device_ns, now - issue_ns);
	return 0;
}

SEC("?tp_btf/block_io_start")
int vs_block_start(__u64 *ctx)
{
	return start((struct request *)ctx[0], vs_arg(ctx, 0, true, 3), true);
}

SEC("?raw_tp/block_io_start")
int vs_block_start_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return start((void *)ctx->args[0], ctx->args[0], false);
}

SEC("?tp_btf/block_rq_issue")
int vs_block_issue(__u64 *ctx)
{
	return issue(vs_arg(ctx, 0, true, 4));
}

SEC("?raw_tp/block_rq_issue")
int vs_block_issue_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return issue(ctx->args[0]);
}

SEC("?tp_btf/block_rq_complete")
int vs_block_done(__u64 *ctx)
{
	return complete((struct request *)ctx[0], vs_arg(ctx, 0, true, 5), ctx[1], ctx[2], true);
}

SEC("?raw_tp/block_rq_complete")
int vs_block_done_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return complete((void *)ctx->args[0], ctx->args[0], ctx->args[1], ctx->args[2], false);
}

/* Merged into another request: it goes without a completion. */
SEC("?raw_tp/block_rq_merge")
int vs_block_merged(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 key = ctx->args[0];
	__u32 i = vs_hash_ptr(key, VS_RQ_BITS);
	struct vs_rq *r = bpf_map_lookup_elem(&vs_rq, &i);

	if (r && r->rq == key)
		r->rq = 0;
	else
		bpf_map_delete_elem(&vs_rq_spill, &key);
	return 0;
}

/*
 * Before 6.5 there is no block_io_start. A request then starts where it is
 * first seen: at its insertion into a scheduler, else at its issue, which
 * without a scheduler happens in the submitter too.
 */
static __always_inline int first_seen(__u64 key, const bool issued)
{
	struct request *rq = (void *)key;
	struct vs_rq *r = find(key);

	/* The same request object may have served an earlier request that was
	 * merged away; then this one was allocated after that one started. */
	if (!r || r->start_ns < BPF_CORE_READ(rq, start_time_ns))
		start(rq, key, false);
	return issued ? issue(key) : 0;
}

SEC("?raw_tp/block_rq_insert")
int vs_block_insert_old(struct bpf_raw_tracepoint_args *ctx)
{
	return first_seen(ctx->args[0], false);
}

SEC("?raw_tp/block_rq_issue")
int vs_block_issue_old(struct bpf_raw_tracepoint_args *ctx)
{
	return first_seen(ctx->args[0], true);
}
