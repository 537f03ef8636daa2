/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_sched.bpf.c - vhost workers where their functions cannot be attached to.
 *
 * Tracepoints show less: how long a worker waits for a CPU after it was woken,
 * how long it runs and how many packets it moves until it sleeps again. What
 * it was woken for is not seen, nor which virtqueue it serves. Enough to tell
 * a starved worker from a slow guest.
 *
 * A worker is whoever moves packets of a tap for a VM and is no ordinary
 * thread of it: a kernel thread with the VMM's memory, or a user worker.
 */
#include "vhost_maps.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define PF_IO_WORKER	0x00000010
#define PF_USER_WORKER	0x00004000 /* 6.4 */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_VIRTQ__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct vs_slice);
} vs_slice SEC(".maps");

static __always_inline bool may_be_worker(struct task_struct *t)
{
	__u32 flags = BPF_CORE_READ(t, flags);

	return (flags & VS_PF_KTHREAD) || ((flags & PF_USER_WORKER) && !(flags & PF_IO_WORKER));
}

static __noinline int learn_worker(__u32 tid, __u64 devp)
{
	struct net_device *dev = (void *)devp;
	struct vs_virtq_key key = { .tid = tid };
	struct vs_slice fresh = { .packets = 1 };
	struct vs_virtq *q;

	if (!vs_vm_of_current() || !dev || !vs_is_tap(dev))
		return 0;
	q = vs_virtq_new(&key, VS_DIR_BOTH);
	if (!q)
		return 0;
	vs_virtq_learn_vm(q);
	q->netns_cookie = vs_dev_netns(dev);
	q->ifindex = BPF_CORE_READ(dev, ifindex);
	fresh.on_cpu_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&vs_slice, &tid, &fresh, BPF_NOEXIST))
		vs_count_lost(VS_LOST_VHOST_FULL);
	return 0;
}

static __always_inline int moved(struct sk_buff *skb)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct vs_slice *s;

	if (!may_be_worker((void *)bpf_get_current_task()))
		return 0;
	s = bpf_map_lookup_elem(&vs_slice, &tid);
	if (s)
		s->packets++;
	else
		learn_worker(tid, (__u64)BPF_CORE_READ(skb, dev));
	return 0;
}

SEC("?raw_tp/skb_copy_datagram_iovec")
int vs_ws_copy(struct bpf_raw_tracepoint_args *ctx)
{
	return moved((void *)ctx->args[0]);
}

SEC("?raw_tp/netif_receive_skb")
int vs_ws_receive(struct bpf_raw_tracepoint_args *ctx)
{
	return moved((void *)ctx->args[0]);
}

SEC("?raw_tp/sched_waking")
int vs_ws_waking(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *t = (void *)ctx->args[0];
	struct vs_slice *s;
	__u32 tid;

	if (!may_be_worker(t))
		return 0;
	tid = BPF_CORE_READ(t, pid);
	s = bpf_map_lookup_elem(&vs_slice, &tid);
	if (s && !s->woken_ns && !s->on_cpu_ns)
		s->woken_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void leaves(struct task_struct *t)
{
	struct vs_virtq_key key = { .tid = BPF_CORE_READ(t, pid) };
	struct vs_slice *s = bpf_map_lookup_elem(&vs_slice, &key.tid);
	struct vs_virtq *q;
	__u64 now;
	__u32 b;

	if (!s || !s->on_cpu_ns)
		return;
	now = bpf_ktime_get_ns();
	q = bpf_map_lookup_elem(&vs_virtq, &key);
	if (q)
		q->busy_ns += now - s->on_cpu_ns;
	s->on_cpu_ns = 0;
	if (vs_task_state(t, false) == 0) { /* still runnable: it lost its CPU */
		s->woken_ns = now;
		return;
	}
	if (q) {
		q->runs++;
		q->buffers += s->packets;
		b = vs_log2_bucket(s->packets);
		if (b < VS_LOG2__N)
			q->batch[b]++;
	}
	s->packets = 0;
}

static __always_inline void arrives(struct task_struct *t)
{
	struct vs_virtq_key key = { .tid = BPF_CORE_READ(t, pid) };
	struct vs_slice *s = bpf_map_lookup_elem(&vs_slice, &key.tid);
	__u64 now, waited;
	struct vs_virtq *q;

	if (!s)
		return;
	now = bpf_ktime_get_ns();
	s->on_cpu_ns = now;
	if (!s->woken_ns)
		return;
	waited = now - s->woken_ns;
	s->woken_ns = 0;
	q = bpf_map_lookup_elem(&vs_virtq, &key);
	if (!q || (__s64)waited < 0)
		return;
	vs_hist_add(q->wake.n, waited, 1);
	q->wake.sum_ns += waited;
	q->wait_ns += waited;
	q->wait_cpu_ns += waited;
}

SEC("?raw_tp/sched_switch")
int vs_ws_switch(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *prev = (void *)ctx->args[1], *next = (void *)ctx->args[2];

	if (may_be_worker(prev))
		leaves(prev);
	if (may_be_worker(next))
		arrives(next);
	return 0;
}

/* The guest's interrupt, raised by the worker itself. */
SEC("?raw_tp/kvm_msi_set_irq")
int vs_ws_msi(struct bpf_raw_tracepoint_args *ctx)
{
	struct vs_virtq_key key = { .tid = (__u32)bpf_get_current_pid_tgid() };
	struct vs_virtq *q;

	if (!may_be_worker((void *)bpf_get_current_task()))
		return 0;
	q = bpf_map_lookup_elem(&vs_virtq, &key);
	if (q)
		q->signals++;
	return 0;
}
