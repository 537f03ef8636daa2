/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost.bpf.c - how long vhost workers let a guest wait, and why.
 *
 * A wake-up (the guest's kick, or the tap's) is timed until the handler of its
 * virtqueue begins. The wait has three parts that can be told apart: the
 * worker was serving another virtqueue, it was runnable but had no CPU, and
 * the rest, which waking up costs. A handler that leaves with packets and no
 * buffer to put them into waits for the guest; vhost marks that itself, by
 * asking for a kick on the rx queue.
 *
 * Everything is keyed by virtqueue and tid; who the worker is (a kernel thread
 * or a thread of the VMM, one or several per device) does not matter here.
 * Handlers are entered through the four work callbacks, whose addresses are
 * taken, so that no compiler can inline them.
 */
#include "vhost_maps.bpf.h"
#include "vhost_types.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define TUN_RDEV ((10 << 20) | 200) /* /dev/net/tun, MKDEV(10, 200) */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_VIRTQ__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct vs_worker);
} vs_worker SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_WAKE__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct vs_wake);
} vs_wake SEC(".maps");

static __always_inline __u64 run_delay_of_current(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	return bpf_core_field_exists(t->sched_info.run_delay) ?
		       BPF_CORE_READ(t, sched_info.run_delay) : 0;
}

/* ---- wake-up ---------------------------------------------------------- */

static __always_inline void remember_worker(struct vs_wake *w, __u64 now)
{
	struct vs_virtq_key key = { .vq = w->vq, .tid = w->tid };
	struct vs_worker *worker = bpf_map_lookup_elem(&vs_worker, &key.tid);
	struct vs_virtq *q = bpf_map_lookup_elem(&vs_virtq, &key);

	if (!worker || !q)
		return;
	w->busy_ns = worker->busy_ns;
	if (worker->vq)
		w->busy_ns += now - worker->begin_ns;
	w->delayed_ns = worker->delayed_ns;
	w->own_ns = q->busy_ns + q->polled_ns;
}

/* vhost_poll_wakeup(wait, mode, sync, key): an eventfd was kicked, or a socket
 * has become readable or writable. */
static __always_inline int wakeup(__u64 wait, __u64 events)
{
	struct vhost_poll *poll =
		(void *)(wait - bpf_core_field_offset(struct vhost_poll, wait));
	__u64 work = (__u64)poll + bpf_core_field_offset(struct vhost_poll, work);
	struct vs_wake fresh = {}, *w;
	__u64 now;

	/* First what mostly decides: each packet for the guest wakes, but only the
	 * first of a run queues. */
	if ((BPF_CORE_READ(poll, work.flags) & VHOST_WORK_QUEUED_BIT) ||
	    !(events & BPF_CORE_READ(poll, mask)))
		return 0;
	now = bpf_ktime_get_ns();
	w = bpf_map_lookup_elem(&vs_wake, &work);
	if (!w) {
		fresh.at_ns = now;
		if (bpf_map_update_elem(&vs_wake, &work, &fresh, BPF_NOEXIST))
			vs_count_lost(VS_LOST_VHOST_FULL);
		return 0;
	}
	if (w->at_ns)
		return 0;
	remember_worker(w, now);
	barrier();
	w->at_ns = now;
	return 0;
}

/* ---- the handler begins ------------------------------------------------ */

/* Which tap is behind the virtqueue? Its socket says so, if it is a tap's. */
static __always_inline struct tun_file *tap_of(__u64 sock)
{
	struct socket *s = (void *)sock;

	if (!s || !bpf_core_type_exists(struct tun_file) ||
	    BPF_CORE_READ(s, file, f_inode, i_rdev) != TUN_RDEV)
		return 0;
	return (void *)(sock - bpf_core_field_offset(struct tun_file, socket));
}

static __noinline int learn_tap(struct vs_virtq *q, __u64 sock)
{
	struct tun_file *tfile = tap_of(sock);
	struct net_device *dev = tfile ? BPF_CORE_READ(tfile, tun, dev) : 0;

	if (!q)
		return 0;
	q->sock = sock;
	q->ifindex = 0;
	if (!dev)
		return 0;
	q->netns_cookie = vs_dev_netns(dev);
	q->index = BPF_CORE_READ(tfile, queue_index);
	q->ifindex = BPF_CORE_READ(dev, ifindex);
	return 0;
}

static __always_inline struct vs_worker *worker_of(__u32 tid)
{
	struct vs_worker fresh = {}, *w = bpf_map_lookup_elem(&vs_worker, &tid);

	if (w)
		return w;
	fresh.delay_first_ns = fresh.delay_end_ns = run_delay_of_current();
	if (bpf_map_update_elem(&vs_worker, &tid, &fresh, BPF_NOEXIST)) {
		vs_count_lost(VS_LOST_VHOST_FULL);
		return 0;
	}
	return bpf_map_lookup_elem(&vs_worker, &tid);
}

/*
 * The parts of a wait. The worker's counters are cumulative, so their growth
 * since the wake-up is what it did meanwhile. A delay inside a sibling's run
 * is counted whole even if that run began before the wake-up: the counters
 * know runs, not moments within them.
 */
static __always_inline void account_wait(struct vs_virtq *q, const struct vs_worker *worker,
					 const struct vs_wake *w, bool kick, __u64 waited, __u64 delay,
					 bool comparable)
{
	__u64 served, sibling, cpu;

	vs_hist_add(kick ? q->kick.n : q->wake.n, waited, 1);
	if (kick)
		q->kick.sum_ns += waited;
	else
		q->wake.sum_ns += waited;
	q->wait_ns += waited;
	if (!comparable)
		return; /* this worker's first: nothing to compare with */
	served = worker->busy_ns - w->busy_ns;
	if ((__s64)served < 0 || served > waited)
		served = (__s64)served < 0 ? 0 : waited;
	cpu = worker->delayed_ns - w->delayed_ns;
	if (cpu > served)
		cpu = served;
	sibling = served - cpu;
	served = q->busy_ns + q->polled_ns - w->own_ns; /* its own virtqueue is no sibling */
	sibling -= served < sibling ? served : sibling;
	cpu += delay - worker->delay_end_ns;
	if (cpu > waited - sibling)
		cpu = waited - sibling;
	q->wait_cpu_ns += cpu;
	q->wait_sibling_ns += sibling;
}

static __always_inline void count_ring(struct vs_virtq *q, __u64 sock)
{
	struct tun_file *tfile = (void *)(sock - bpf_core_field_offset(struct tun_file, socket));
	int size, depth;
	__u32 b;

	if (!q->ifindex)
		return;
	size = BPF_CORE_READ(tfile, tx_ring.size);
	depth = BPF_CORE_READ(tfile, tx_ring.producer) - BPF_CORE_READ(tfile, tx_ring.consumer_head);
	if (depth < 0)
		depth += size;
	b = vs_log2_bucket(depth);
	if (b < VS_LOG2__N)
		q->depth[b]++;
}

static __always_inline int begin(__u64 work, __u64 vq, int direction, bool kick)
{
	struct vs_virtq_key key = { .vq = vq, .tid = (__u32)bpf_get_current_pid_tgid() };
	struct vhost_virtqueue *v = (void *)vq;
	struct vs_worker *worker = worker_of(key.tid);
	struct vs_virtq *q = bpf_map_lookup_elem(&vs_virtq, &key);
	__u64 now, delay, sock, woken = 0;
	struct vs_wake *w;

	if (!q)
		q = vs_virtq_new(&key, direction);
	if (!q || !worker)
		return 0;
	if (q->vm == VS_NONE)
		vs_virtq_learn_vm(q);
	sock = (__u64)BPF_CORE_READ(v, private_data);
	if (sock && sock != q->sock)
		learn_tap(q, sock);
	now = bpf_ktime_get_ns();
	delay = run_delay_of_current();
	w = bpf_map_lookup_elem(&vs_wake, &work);
	if (w) {
		woken = w->at_ns;
		if (woken > now) /* came since: of the next run */
			woken = 0;
		if (woken)
			account_wait(q, worker, w, kick, now - woken, delay,
				     w->tid == key.tid && w->vq == vq);
		w->vq = vq;
		w->tid = key.tid;
		barrier();
		if (woken)
			w->at_ns = 0;
	} else {
		struct vs_wake fresh = { .vq = vq, .tid = key.tid };

		if (bpf_map_update_elem(&vs_wake, &work, &fresh, BPF_NOEXIST))
			vs_count_lost(VS_LOST_VHOST_FULL);
	}
	q->runs++;
	if (!woken)
		q->unasked++;
	if (q->starved_at_ns) {
		/* the kick is when the buffers came */
		if (!woken || woken < q->starved_at_ns)
			woken = now;
		q->starved_ns += woken - q->starved_at_ns;
		q->starved_at_ns = 0;
	}
	if (direction == VS_DIR_RX && sock)
		count_ring(q, sock);
	if (worker->vq)
		vs_count_lost(VS_LOST_VHOST_BROKEN);
	worker->used = BPF_CORE_READ(v, last_used_idx);
	worker->delay_begin_ns = delay;
	worker->polled_ns = 0;
	worker->poll_begin_ns = 0;
	worker->signals_due = worker->signals = 0;
	worker->begin_ns = now;
	worker->vq = vq;
	return 0;
}

static __always_inline __u64 vq_of_kick(__u64 work)
{
	return work - bpf_core_field_offset(struct vhost_poll, work) -
	       bpf_core_field_offset(struct vhost_virtqueue, poll);
}

static __always_inline __u64 vq_of_socket(__u64 work, int i)
{
	struct vhost_net *zero = 0;
	__u64 poll = (__u64)__builtin_preserve_access_index(&zero->poll[i]);

	return work - bpf_core_field_offset(struct vhost_poll, work) - poll +
	       (__u64)__builtin_preserve_access_index(&zero->vqs[i].vq);
}

/* ---- the handler ends --------------------------------------------------- */

static __always_inline int end(int direction)
{
	struct vs_virtq_key key = { .tid = (__u32)bpf_get_current_pid_tgid() };
	struct vs_worker *worker = bpf_map_lookup_elem(&vs_worker, &key.tid);
	__u64 now = bpf_ktime_get_ns(), delay, wall, delayed, off;
	struct vhost_virtqueue *v;
	struct vs_virtq *q;
	__u32 n, b;

	if (!worker || !worker->vq) {
		vs_count_lost(VS_LOST_VHOST_BROKEN);
		return 0;
	}
	key.vq = worker->vq;
	worker->vq = 0;
	v = (void *)key.vq;
	delay = run_delay_of_current();
	wall = now - worker->begin_ns;
	delayed = delay - worker->delay_begin_ns;
	if (delayed > wall)
		delayed = wall;
	worker->busy_ns += wall;
	worker->delayed_ns += delayed;
	worker->delay_end_ns = delay;
	q = bpf_map_lookup_elem(&vs_virtq, &key);
	if (!q)
		return 0;
	off = delayed + worker->polled_ns;
	q->busy_ns += wall > off ? wall - off : 0;
	q->polled_ns += worker->polled_ns;
	n = (__u16)(BPF_CORE_READ(v, last_used_idx) - worker->used);
	q->buffers += n;
	q->signals_due += worker->signals_due;
	q->signals += worker->signals;
	b = vs_log2_bucket(n);
	if (b < VS_LOG2__N)
		q->batch[b]++;
	/* On the rx queue vhost asks for a kick only where packets wait and no
	 * buffer is left (get_rx_bufs() found none, and none came meanwhile). */
	if (direction == VS_DIR_RX && q->sock &&
	    !(BPF_CORE_READ(v, used_flags) & VRING_USED_F_NO_NOTIFY)) {
		q->starved++;
		q->starved_at_ns = now;
	}
	return 0;
}

/* ---- within the handler -------------------------------------------------- */

/* vhost_add_used_and_signal_n(dev, vq, …): news for the guest, which it may not
 * want to hear. (vhost_signal() itself is often inlined.) */
static __always_inline int signal_due(__u64 vq)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct vs_worker *worker = bpf_map_lookup_elem(&vs_worker, &tid);
	struct vhost_virtqueue *v = (void *)vq;

	if (!worker || worker->vq != vq)
		return 0;
	worker->signals_due++;
	worker->call = (__u64)BPF_CORE_READ(v, call_ctx.ctx);
	return 0;
}

/* eventfd_signal(ctx, …): the host's eventfds all pass here; a worker's own
 * call eventfd is the guest's interrupt. */
static __always_inline int signalled(__u64 ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct vs_worker *worker = bpf_map_lookup_elem(&vs_worker, &tid);

	if (!worker || !worker->call || worker->call != ctx)
		return 0;
	worker->call = 0;
	worker->signals++;
	return 0;
}

static __always_inline int poll_begin(void)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct vs_worker *worker = bpf_map_lookup_elem(&vs_worker, &tid);

	if (worker && worker->vq)
		worker->poll_begin_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int poll_end(void)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct vs_worker *worker = bpf_map_lookup_elem(&vs_worker, &tid);

	if (worker && worker->poll_begin_ns) {
		worker->polled_ns += bpf_ktime_get_ns() - worker->poll_begin_ns;
		worker->poll_begin_ns = 0;
	}
	return 0;
}

/* ---- wrappers: each hook as fentry/fexit and as kprobe/kretprobe ----------- */

/* fentry's arguments are typed pointers, with which one cannot calculate; each
 * program has its own place to turn them into numbers. */
enum { PLACE_WAKE, PLACE_RX_KICK, PLACE_TX_KICK, PLACE_RX_NET, PLACE_TX_NET, PLACE_SIGNAL, PLACE_CALL };

static __always_inline __u64 func_arg(__u64 *ctx, int n, __u32 place)
{
	__u64 value = 0;

	/* 5.17; a few instructions where vs_arg() calls a helper */
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_func_arg))
		return vs_arg(ctx, n, true, place);
	bpf_get_func_arg(ctx, n, &value);
	return value;
}

#define HOOK_BEGIN(name, func, place, expr)                                 \
	SEC("?fentry/" #func) int name(__u64 *ctx)                          \
	{                                                                   \
		__u64 arg0 = func_arg(ctx, 0, place);                       \
		return expr;                                                \
	}                                                                   \
	SEC("?kprobe/" #func) int name##_kp(struct pt_regs *ctx)            \
	{                                                                   \
		__u64 arg0 = PT_REGS_PARM1(ctx);                            \
		return expr;                                                \
	}

HOOK_BEGIN(vs_vq_rx_kick, handle_rx_kick, PLACE_RX_KICK,
	   begin(arg0, vq_of_kick(arg0), VS_DIR_RX, true))
HOOK_BEGIN(vs_vq_tx_kick, handle_tx_kick, PLACE_TX_KICK,
	   begin(arg0, vq_of_kick(arg0), VS_DIR_TX, true))
HOOK_BEGIN(vs_vq_rx_net, handle_rx_net, PLACE_RX_NET,
	   begin(arg0, vq_of_socket(arg0, 0), VS_DIR_RX, false))
HOOK_BEGIN(vs_vq_tx_net, handle_tx_net, PLACE_TX_NET,
	   begin(arg0, vq_of_socket(arg0, 1), VS_DIR_TX, false))
HOOK_BEGIN(vs_vq_call, eventfd_signal, PLACE_CALL, signalled(arg0))
HOOK_BEGIN(vs_vq_call_mask, eventfd_signal_mask, PLACE_CALL, signalled(arg0))

#define HOOK_END(name, func, direction)                                     \
	SEC("?fexit/" #func) int name(__u64 *ctx) { return end(direction); } \
	SEC("?kretprobe/" #func) int name##_kp(struct pt_regs *ctx) { return end(direction); }

HOOK_END(vs_vq_rx_kick_end, handle_rx_kick, VS_DIR_RX)
HOOK_END(vs_vq_tx_kick_end, handle_tx_kick, VS_DIR_TX)
HOOK_END(vs_vq_rx_net_end, handle_rx_net, VS_DIR_RX)
HOOK_END(vs_vq_tx_net_end, handle_tx_net, VS_DIR_TX)

SEC("?fentry/vhost_poll_wakeup")
int vs_vq_wake(__u64 *ctx)
{
	return wakeup(func_arg(ctx, 0, PLACE_WAKE), ctx[3]);
}

SEC("?kprobe/vhost_poll_wakeup")
int vs_vq_wake_kp(struct pt_regs *ctx)
{
	return wakeup(PT_REGS_PARM1(ctx), PT_REGS_PARM4(ctx));
}

SEC("?fentry/vhost_add_used_and_signal_n")
int vs_vq_signal(__u64 *ctx)
{
	return signal_due(func_arg(ctx, 1, PLACE_SIGNAL));
}

SEC("?kprobe/vhost_add_used_and_signal_n")
int vs_vq_signal_kp(struct pt_regs *ctx)
{
	return signal_due(PT_REGS_PARM2(ctx));
}

SEC("?fentry/vhost_net_busy_poll")
int vs_vq_poll(__u64 *ctx)
{
	return poll_begin();
}

SEC("?fexit/vhost_net_busy_poll")
int vs_vq_poll_end(__u64 *ctx)
{
	return poll_end();
}

SEC("?kprobe/vhost_net_busy_poll")
int vs_vq_poll_kp(struct pt_regs *ctx)
{
	return poll_begin();
}

SEC("?kretprobe/vhost_net_busy_poll")
int vs_vq_poll_end_kp(struct pt_regs *ctx)
{
	return poll_end();
}
