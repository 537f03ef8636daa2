/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compat.bpf.h - every difference between kernels that the programs know of.
 *
 * Decided by the running kernel's own type information when the programs are
 * loaded; branches that do not apply are removed before they are verified.
 */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/*
 * Reading a field: @typed is a constant, true in tp_btf programs, whose
 * pointers the verifier knows and may follow directly; raw_tp programs hold
 * plain numbers and must copy. The other branch is never compiled in.
 */
#define vs_read(typed, p, field) ((typed) ? (p)->field : BPF_CORE_READ(p, field))

/* 5.15 moved the disk from the request to its queue (f3fa33acca9f). */
struct request___rq_disk {
	struct gendisk *rq_disk;
} __attribute__((preserve_access_index));

static __always_inline struct gendisk *vs_rq_disk(struct request *rq, const bool typed)
{
	struct request___rq_disk *old = (void *)rq;

	if (bpf_core_field_exists(old->rq_disk))
		return BPF_CORE_READ(old, rq_disk);
	return typed ? rq->q->disk : BPF_CORE_READ(rq, q, disk);
}

/* 5.14 renamed the state of a task (2f064a59a11f). */
struct task_struct___state {
	long state;
} __attribute__((preserve_access_index));

static __always_inline __u32 vs_task_state(struct task_struct *t, const bool typed)
{
	struct task_struct___state *old = (void *)t;

	if (bpf_core_field_exists(old->state))
		return (__u32)BPF_CORE_READ(old, state);
	return vs_read(typed, t, __state);
}

/* 5.16 moved it to thread_info where that is part of the task (bcf9033e5449). */
struct task_struct___cpu {
	unsigned int cpu;
} __attribute__((preserve_access_index));

static __always_inline __u32 vs_task_cpu(struct task_struct *t, const bool typed)
{
	struct task_struct___cpu *old = (void *)t;

	if (bpf_core_field_exists(old->cpu))
		return BPF_CORE_READ(old, cpu);
	return vs_read(typed, t, thread_info.cpu);
}

/* 5.12 gave every network namespace a cookie from its birth, a plain number (3d368ab87cf6). Before, it
 * was an atomic, mostly 0: the inode number stands in, as in user/discover/netns.c. */
struct net___cookie {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

static __always_inline __u64 vs_dev_netns(struct net_device *dev)
{
	struct net *net = BPF_CORE_READ(dev, nd_net.net);
	struct net___cookie *new = (void *)net;

	if (bpf_core_field_exists(new->net_cookie))
		return BPF_CORE_READ(new, net_cookie);
	return BPF_CORE_READ(net, ns.inum);
}

/* An int until 7.x made it a u8: read as wide as it is, or the neighbours are read with it. */
static __always_inline bool vs_task_on_cpu(struct task_struct *t, const bool typed)
{
	return typed ? BPF_CORE_READ_BITFIELD(t, on_cpu) : BPF_CORE_READ_BITFIELD_PROBED(t, on_cpu);
}
