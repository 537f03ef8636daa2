/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sched.bpf.c - the deep window: how long threads of VMs were runnable without
 * running, and who ran on their CPU meanwhile.
 *
 * Each context switch of the host passes here, so this is attached on demand
 * and for seconds only. Each CPU remembers who ran on it, from when, in a short
 * ring. Only when a watched thread gets its CPU at last, the ring is walked
 * back to the moment at which its wait began, and each slice is charged to
 * whoever had it. Nothing is kept per waiting thread and CPU.
 *
 * No lock is needed: sched_switch and sched_wakeup fire with the run queue of
 * the CPU locked on which the thread waits, sched_migrate_task with that of
 * the CPU that a waiting thread leaves. The one wakeup without the lock is
 * that of a thread that is running, which waits for nothing.
 */
#include "compat.bpf.h"
#include "maps.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* tid -> index. Threads that begin during the window are not in it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} vs_watch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct vs_deep_thread);
} vs_deep_thread SEC(".maps");

/* Preallocated, as vs_watch: there is no asking for memory under a run queue's
 * lock. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_DEEP_RAN__N);
	__type(key, struct vs_deep_key);
	__type(value, struct vs_deep_ran);
} vs_deep_ran SEC(".maps");

/* By CPU. Not per CPU: who moves a thread away reads another one's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vs_deep_cpu);
} vs_deep_cpu SEC(".maps");

static __always_inline struct vs_deep_thread *watched(__u32 tid, __u32 *ret_index)
{
	__u32 *i = tid ? bpf_map_lookup_elem(&vs_watch, &tid) : 0;

	if (!i)
		return 0;
	*ret_index = *i;
	return bpf_map_lookup_elem(&vs_deep_thread, i);
}

/* Return: whether @ns found its debtor. */
static __noinline bool charge(__u32 thread, const struct vs_deep_slice *s, __u64 ns)
{
	struct vs_deep_key key = { .thread = thread, .tid = s->tid };
	struct vs_deep_ran *ran = bpf_map_lookup_elem(&vs_deep_ran, &key), fresh = {};

	if (ran) {
		ran->ns += ns;
		return true;
	}
	fresh.ns = ns;
	fresh.tgid = s->tgid;
	__builtin_memcpy(fresh.comm, s->comm, sizeof(fresh.comm));
	return !bpf_map_update_elem(&vs_deep_ran, &key, &fresh, BPF_ANY);
}

/* Charges what @t waited on @c since told_ns. The newest @skip slices began now. */
static __always_inline void explain(struct vs_deep_thread *t, __u32 index, struct vs_deep_cpu *c,
				    __u64 now, __u32 skip)
{
	__u64 from = t->told_ns, end = now, begin;
	__u32 head = c->head;

	t->told_ns = now;
	for (__u32 i = 1 + skip; i <= VS_RAN__N && i <= head && end > from; i++) {
		struct vs_deep_slice *s = &c->ran[(head - i) & (VS_RAN__N - 1)];

		begin = s->in_ns > from ? s->in_ns : from;
		if (end > begin && !charge(index, s, end - begin)) {
			t->unexplained_ns += end - begin;
			vs_count_lost(VS_LOST_DEEP_FULL);
		}
		end = s->in_ns;
	}
	if (end > from) {
		t->unexplained_ns += end - from;
		vs_count_lost(VS_LOST_DEEP_SHORT);
	}
}

static __always_inline void note(struct vs_deep_cpu *c, struct task_struct *t, __u64 in_ns,
				 const bool typed)
{
	struct vs_deep_slice *s = &c->ran[c->head & (VS_RAN__N - 1)];

	s->in_ns = in_ns;
	s->tid = vs_read(typed, t, pid);
	s->tgid = vs_read(typed, t, tgid);
	bpf_probe_read_kernel(s->comm, sizeof(s->comm), t->comm);
	c->head++;
}

static __always_inline int on_switch(bool preempt, struct task_struct *prev,
				     struct task_struct *next, const bool typed)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 cpu = bpf_get_smp_processor_id(), index;
	struct vs_deep_cpu *c = bpf_map_lookup_elem(&vs_deep_cpu, &cpu);
	struct vs_deep_thread *t;

	if (!c)
		return 0;
	if (!c->head) /* it ran before we looked */
		note(c, prev, 0, typed);
	note(c, next, now, typed);
	if (preempt || vs_task_state(prev, typed) == 0) {
		t = watched(vs_read(typed, prev, pid), &index);
		if (t) {
			t->wait_ns = t->told_ns = now;
			t->cpu = cpu;
		}
	}
	t = watched(vs_read(typed, next, pid), &index);
	if (t && t->wait_ns) {
		__u64 waited = now - t->wait_ns;

		if (t->cpu == cpu) {
			explain(t, index, c, now, 1);
		} else { /* moved, and its move was missed */
			t->unexplained_ns += now - t->told_ns;
			vs_count_lost(VS_LOST_DEEP_SHORT);
		}
		t->wait_ns = 0;
		t->delay.sum_ns += waited;
		vs_hist_add(t->delay.n, waited, 1);
	}
	return 0;
}

static __always_inline int on_wakeup(struct task_struct *p, const bool typed)
{
	__u32 index;
	struct vs_deep_thread *t = watched(vs_read(typed, p, pid), &index);

	if (!t || t->wait_ns || vs_task_on_cpu(p, typed))
		return 0;
	t->cpu = vs_task_cpu(p, typed);
	t->wait_ns = t->told_ns = bpf_ktime_get_ns();
	return 0;
}

/* Of a thread that sleeps, it is woken elsewhere: its wait has not begun. */
static __always_inline int on_migrate(struct task_struct *p, __u32 to, const bool typed)
{
	__u32 index;
	struct vs_deep_thread *t = watched(vs_read(typed, p, pid), &index);
	struct vs_deep_cpu *c;

	if (!t || !t->wait_ns)
		return 0;
	c = bpf_map_lookup_elem(&vs_deep_cpu, &t->cpu);
	if (c)
		explain(t, index, c, bpf_ktime_get_ns(), 0);
	t->cpu = to;
	return 0;
}

SEC("?tp_btf/sched_switch")
int vs_sched_switch(__u64 *ctx)
{
	return on_switch(ctx[0], (struct task_struct *)ctx[1], (struct task_struct *)ctx[2], true);
}

SEC("?raw_tp/sched_switch")
int vs_sched_switch_raw(__u64 *ctx)
{
	return on_switch(ctx[0], (struct task_struct *)ctx[1], (struct task_struct *)ctx[2], false);
}

SEC("?tp_btf/sched_wakeup")
int vs_sched_wakeup(__u64 *ctx)
{
	return on_wakeup((struct task_struct *)ctx[0], true);
}

SEC("?raw_tp/sched_wakeup")
int vs_sched_wakeup_raw(__u64 *ctx)
{
	return on_wakeup((struct task_struct *)ctx[0], false);
}

SEC("?tp_btf/sched_migrate_task")
int vs_sched_move(__u64 *ctx)
{
	return on_migrate((struct task_struct *)ctx[0], ctx[1], true);
}

SEC("?raw_tp/sched_migrate_task")
int vs_sched_move_raw(__u64 *ctx)
{
	return on_migrate((struct task_struct *)ctx[0], ctx[1], false);
}
