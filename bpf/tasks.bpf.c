/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tasks.bpf.c - the threads that work for VMs, with the time that they ran and
 * waited: one pass over all tasks.
 *
 * The same numbers as /proc/PID/task/TID/schedstat. One pass in the kernel
 * costs less than half of reading held descriptors of it (DESIGN.md has the figures),
 * needs no descriptor per thread, and sees threads come and go.
 */
#include "compat.bpf.h"
#include "maps.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* Threads that user space knows to work for a VM, where the kernel does not
 * say so: a kernel thread on a kernel without mm->owner. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_VM__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct vs_vm_ref);
} vs_worker SEC(".maps");

/*
 * How long a thread has been waiting at this moment. The scheduler adds a wait
 * to run_delay when it ends; without the one under way a starved vCPU would
 * look idle. last_queued is by the clock of the run queue, which ticks while
 * somebody else runs there. Each task, fair or not, knows that queue if the
 * kernel schedules by groups.
 */
static __always_inline __u64 waiting(struct task_struct *t)
{
	__u64 since = t->sched_info.last_queued, now;

	if (!since || !bpf_core_field_exists(t->se.cfs_rq->rq))
		return 0;
	now = BPF_CORE_READ(t, se.cfs_rq, rq, clock);
	return now > since ? now - since : 0;
}

static __always_inline struct vs_vm_ref *vm_of(struct task_struct *t)
{
	__u32 tgid = t->tgid, tid = t->pid;
	struct vs_vm_ref *ref;

	if (!(t->flags & VS_PF_KTHREAD))
		return bpf_map_lookup_elem(&vs_task, &tgid);
	ref = bpf_map_lookup_elem(&vs_worker, &tid);
	if (ref)
		return ref;
	/* vhost workers up to 6.3, and since then by choice, are kernel threads
	 * that have borrowed the VMM's address space. */
	if (!t->mm || !bpf_core_field_exists(t->mm->owner))
		return 0;
	tgid = BPF_CORE_READ(t, mm, owner, tgid);
	return bpf_map_lookup_elem(&vs_task, &tgid);
}

SEC("?iter/task")
int vs_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct vs_task_row row = {};
	struct vs_vm_ref *vm;
	__u64 waited;

	if (!t)
		return 0;
	vm = vm_of(t);
	if (!vm)
		return 0;
	row.vm = *vm;
	row.tgid = t->tgid;
	row.tid = t->pid;
	row.flags = t->flags;
	row.start_ns = t->start_time;
	row.run_ns = t->se.sum_exec_runtime;
	row.run_delay_ns = t->sched_info.run_delay;
	waited = waiting(t);
	if (waited) {
		row.run_delay_ns += waited;
		row.waits_on = BPF_CORE_READ(t, se.cfs_rq, rq, cpu) + 1;
	}
	row.slices = t->sched_info.pcount;
	row.guest_ns = t->gtime;
	bpf_probe_read_kernel(row.comm, sizeof(row.comm), t->comm);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}
