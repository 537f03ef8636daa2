/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sched.bpf.c - the deep window: how long threads of VMs were runnable without
 * running, and who ran on their CPU meanwhile.
 *
 * Each context switch of the host passes here, so this is attached on demand
 * and for seconds only. Each CPU remembers who ran on it, from when, in a short
 * ring. When a watched thread gets its CPU at last, the ring is walked back to
 * the moment at which its wait began, and each slice is charged to whoever had
 * it. A wait may be longer than the ring, so each switch also looks at one of a
 * few places for threads that wait there, and charges what is new for that one:
 * each place comes round several times while the ring goes round once.
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

/*
 * Charges what thread @index waited from @from_ns to @end_ns to slice @n of @cpu,
 * as far as that reaches back. Return: how far it did.
 *
 * This and the next are not static and take plain numbers only: so each is
 * verified once, by itself, and not for each turn of a loop and each path that
 * leads here.
 */
__noinline __u64 vs_charge(__u32 index, __u32 cpu, __u32 n, __u64 from_ns, __u64 end_ns)
{
	struct vs_deep_cpu *c = bpf_map_lookup_elem(&vs_deep_cpu, &cpu);
	struct vs_deep_slice *s;
	struct vs_deep_key key = { .thread = index };
	struct vs_deep_ran *ran, fresh = {};
	struct vs_deep_thread *t;
	__u64 begin;

	if (!c)
		return end_ns;
	s = &c->ran[n & (VS_RAN__N - 1)];
	begin = s->in_ns > from_ns ? s->in_ns : from_ns;
	if (begin >= end_ns)
		return end_ns;
	key.tid = s->tid;
	ran = bpf_map_lookup_elem(&vs_deep_ran, &key);
	if (ran) {
		ran->ns += end_ns - begin;
		return begin;
	}
	fresh.ns = end_ns - begin;
	fresh.tgid = s->tgid;
	__builtin_memcpy(fresh.comm, s->comm, sizeof(fresh.comm));
	if (!bpf_map_update_elem(&vs_deep_ran, &key, &fresh, BPF_ANY))
		return begin;
	vs_count_lost(VS_LOST_DEEP_FULL);
	t = bpf_map_lookup_elem(&vs_deep_thread, &index);
	if (t)
		t->unexplained_ns += end_ns - begin;
	return begin;
}

/* Charges what thread @index waited on @cpu since told_ns. The newest @skip slices
 * began now. */
__noinline int vs_explain(__u32 index, __u32 cpu, __u64 now, __u32 skip)
{
	struct vs_deep_thread *t = bpf_map_lookup_elem(&vs_deep_thread, &index);
	struct vs_deep_cpu *c = bpf_map_lookup_elem(&vs_deep_cpu, &cpu);
	__u64 from, end = now;
	__u32 n;

	if (!t || !c || t->told_ns >= now)
		return 0;
	from = t->told_ns;
	t->told_ns = now;
	n = c->head - skip;
	for (__u32 i = 0; i < VS_RAN__N - 1; i++) {
		if (!n || end <= from)
			break;
		end = vs_charge(index, cpu, --n, from, end);
	}
	if (end > from) {
		t->unexplained_ns += end - from;
		vs_count_lost(VS_LOST_DEEP_SHORT);
	}
	return 0;
}

/* @t waits on @cpu from now on. Where its places are others', who wait there, it
 * depends on the ring alone. Without the lock of @cpu this is a plain store,
 * which at worst is undone. */
static __always_inline void settle(struct vs_deep_thread *t, __u32 index, __u32 cpu)
{
	struct vs_deep_cpu *c = bpf_map_lookup_elem(&vs_deep_cpu, &cpu);

	t->cpu = cpu;
	for (__u32 i = 0; c && i < VS_WAITING_TRIES; i++) {
		__u32 *place = &c->waiting[(index + i) & (VS_WAITING__N - 1)];
		struct vs_deep_thread *other = 0;

		if (*place && *place != index)
			other = bpf_map_lookup_elem(&vs_deep_thread, place);
		if (other && other->wait_ns && other->cpu == cpu)
			continue;
		*place = index;
		return;
	}
}

static __always_inline void explain_one(struct vs_deep_cpu *c, __u32 cpu, __u64 now)
{
	__u32 *place = &c->waiting[c->head & (VS_WAITING__N - 1)], index = *place;
	struct vs_deep_thread *t;

	if (!index)
		return;
	t = bpf_map_lookup_elem(&vs_deep_thread, &index);
	if (t && t->wait_ns && t->cpu == cpu)
		vs_explain(index, cpu, now, 1);
	else
		*place = 0;
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
	explain_one(c, cpu, now);
	t = watched(vs_read(typed, prev, pid), &index);
	if (t && (preempt || vs_task_state(prev, typed) == 0)) {
		t->wait_ns = t->told_ns = now;
		settle(t, index, cpu);
	} else if (t) {
		t->wait_ns = 0; /* user space took it for waiting when it began to look */
	}
	t = watched(vs_read(typed, next, pid), &index);
	if (t && t->wait_ns) {
		__u64 waited = now - t->wait_ns;

		if (t->cpu == cpu) {
			vs_explain(index, cpu, now, 1);
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
	t->wait_ns = t->told_ns = bpf_ktime_get_ns();
	settle(t, index, vs_task_cpu(p, typed));
	return 0;
}

/* Of a thread that sleeps, it is woken elsewhere: its wait has not begun. */
static __always_inline int on_migrate(struct task_struct *p, __u32 to, const bool typed)
{
	__u32 index;
	struct vs_deep_thread *t = watched(vs_read(typed, p, pid), &index);

	if (!t || !t->wait_ns)
		return 0;
	vs_explain(index, t->cpu, bpf_ktime_get_ns(), 0);
	settle(t, index, to);
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
