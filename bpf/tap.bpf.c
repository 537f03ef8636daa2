/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap.bpf.c - packets of VMs: where they are dropped, how long they wait.
 *
 * start_xmit begins a sampled residence, the copy to the reader ends it,
 * kfree_skb explains every loss. Totals come from the kernel's own counters,
 * so nothing here counts packets just to count them.
 */
#include "compat.bpf.h"
#include "maps.bpf.h"
#include "vm.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

const volatile bool cfg_has_reason = true;
/* Number of SKB_DROP_REASON_QDISC_DROP here; it changes with every kernel. */
const volatile __u32 cfg_qdisc_drop = 0;
/* log2 of N when every Nth packet is sampled whatever the rate; 255: adapt. */
const volatile __u8 cfg_sample_shift = 255;

/* Bumped by user space whenever a vNIC comes or goes: cached devices of an
 * older epoch are looked up anew. */
__u32 vs_epoch = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_VNIC__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vs_dev_id);
	__type(value, struct vs_vnic_ref);
} vs_vnic_id SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VS_VNIC__N);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct vs_vnic);
} vs_vnic SEC(".maps");

/* Pointer value -> device, from hooks (and the file iterator) whose pointer
 * can be trusted; the only way in which kfree_skb learns what a device is. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_DEV__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct vs_dev);
} vs_dev SEC(".maps");

/* The same by a hash of the pointer: what nearly every packet needs is one line
 * of memory. A global, because its index needs no check. */
struct vs_dev_cached vs_dev_cache[1 << VS_DEV_CACHE_BITS] = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << VS_INFLIGHT_BITS);
	__type(key, __u32);
	__type(value, struct vs_inflight);
} vs_inflight SEC(".maps");

/* One byte of the packet's hash per place in vs_inflight, 0: free. Almost every
 * packet is nobody's sample, and this much stays in the nearest cache. */
__u8 vs_inflight_tag[1 << VS_INFLIGHT_BITS] = {};

static __always_inline __u64 hash_skb(__u64 skb)
{
	return skb * 0x9E3779B97F4A7C15ull;
}

static __always_inline __u32 place_of_hash(__u64 hash)
{
	return hash >> (64 - VS_INFLIGHT_BITS);
}

static __always_inline __u8 tag_of_hash(__u64 hash)
{
	return (hash >> 32) | 1;
}

static __always_inline void set_tag(__u32 i, __u8 tag)
{
	/* @i was on the stack, where the verifier forgot its bounds; the
	 * compiler did not, and would leave the check out. */
	barrier_var(i);
	if (i < (1 << VS_INFLIGHT_BITS))
		vs_inflight_tag[i] = tag;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_DROP__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vs_drop_key);
	__type(value, __u64);
} vs_drop SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VS_DROP__N);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vs_burst_key);
	__type(value, struct vs_burst);
} vs_burst SEC(".maps");

/* How many vNICs have an ifindex with these low bits: tells apart cheaply
 * the drops in unknown devices that may be a VM's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << VS_IIF_BITS);
	__type(key, __u32);
	__type(value, __u32);
} vs_iif SEC(".maps");

/* A device that is not cached for this epoch: find out what it is. */
static __always_inline void learn_dev(struct net_device *dev, struct vs_dev_cached *c)
{
	struct vs_dev_id id = {};
	struct vs_dev info = {}, *old;
	struct vs_vnic_ref *ref;
	__u64 ptr = (__u64)dev;
	__u32 epoch = vs_epoch; /* before the look-up: a change meanwhile repeats it */

	id.netns_cookie = vs_dev_netns(dev);
	id.ifindex = BPF_CORE_READ(dev, ifindex);
	ref = bpf_map_lookup_elem(&vs_vnic_id, &id);

	info.netns_cookie = id.netns_cookie;
	info.ifindex = id.ifindex;
	if (ref) {
		info.vnic = ref->vnic;
		info.gen = ref->gen;
	}
	old = bpf_map_lookup_elem(&vs_dev, &ptr);
	if (!old || old->netns_cookie != id.netns_cookie || old->ifindex != id.ifindex) {
		if (!ref && vs_is_tap(dev)) {
			struct vs_event e = { .type = VS_EVENT_TAP, .dev = id };

			vs_tell(&e);
		}
	}
	if (bpf_map_update_elem(&vs_dev, &ptr, &info, BPF_ANY))
		vs_count_lost(VS_LOST_DEV_FULL);

	c->epoch = 0; /* nobody else may take a half-written entry for whole */
	barrier();
	c->dev = ptr;
	c->ifindex = id.ifindex;
	c->netns_cookie = id.netns_cookie;
	c->vnic = info.vnic;
	barrier();
	c->epoch = epoch;
}

/* One sample in 2^shift; the rate settles by what a window of 100 ms brings.
 * The state is shared without locks: a lost update only shifts the rate. */
static __always_inline void adapt_rate(struct vs_vnic *v, __u64 now)
{
	if (now - v->sample_window_ns > VS_SAMPLE_WINDOW_NS) {
		if (v->sample_taken < VS_SAMPLE_TARGET / 4 && v->sample_shift > 0)
			v->sample_shift--;
		if (now - v->sample_window_ns > 10 * VS_SAMPLE_WINDOW_NS)
			v->sample_shift = 0;
		v->sample_window_ns = now;
		v->sample_taken = 0;
	} else if (++v->sample_taken >= VS_SAMPLE_TARGET) {
		if (v->sample_shift < VS_SAMPLE_SHIFT_MAX)
			v->sample_shift++;
		v->sample_window_ns = now;
		v->sample_taken = 0;
	}
}

/* Everything but the first look. A function of its own: the registers that it
 * needs would have to be saved for the packets of nobody, too. */
static __noinline int sample_xmit(__u64 ptr, __u64 skb, struct vs_dev_cached *c)
{
	struct net_device *dev = (void *)ptr;
	__u32 i, slot, shift, epoch = vs_epoch;
	struct vs_inflight *f;
	struct vs_vnic *v;
	__u64 now, hash;

	if (c->dev != ptr || c->epoch != epoch)
		learn_dev(dev, c);
	slot = c->vnic;
	if (slot == VS_NONE)
		return 0;
	v = bpf_map_lookup_elem(&vs_vnic, &slot);
	if (!v)
		return 0;

	shift = cfg_sample_shift == 255 ? v->sample_shift : cfg_sample_shift;
	if (shift && (bpf_get_prandom_u32() & ((1u << (shift & 31)) - 1)))
		return 0;
	/* Rare from here on. The pointer and the epoch agreed; a new device at
	 * the address of one that user space does not yet know to be gone
	 * still would not. */
	if (c->ifindex != (__u32)BPF_CORE_READ(dev, ifindex) ||
	    c->netns_cookie != vs_dev_netns(dev)) {
		learn_dev(dev, c);
		return 0;
	}
	now = bpf_ktime_get_ns();
	if (cfg_sample_shift == 255)
		adapt_rate(v, now);
	hash = hash_skb(skb);
	i = place_of_hash(hash);
	f = bpf_map_lookup_elem(&vs_inflight, &i);
	if (!f)
		return 0;
	if (f->skb && f->skb != skb) {
		if (now - f->start_ns < VS_SAMPLE_AGE_NS) {
			__sync_fetch_and_add(&v->sample_collision, 1);
			vs_count_lost(VS_LOST_SAMPLE_COLLISION);
			return 0;
		}
		__sync_fetch_and_add(&v->sample_aged, 1);
		vs_count_lost(VS_LOST_SAMPLE_AGED);
	}
	f->skb = 0;
	barrier();
	f->start_ns = now;
	f->dev = ptr;
	f->vnic = slot;
	f->gen = v->gen;
	/* A fixed N weighs every packet alike, so that counts are samples. */
	f->shift = cfg_sample_shift == 255 ? shift : 0;
	barrier();
	f->skb = skb;
	set_tag(i, tag_of_hash(hash));
	return 0;
}

static __always_inline int start_xmit(__u64 *ctx, const bool typed)
{
	__u64 ptr = vs_arg(ctx, 1, typed, 0), skb;
	struct vs_dev_cached *c = &vs_dev_cache[vs_hash_ptr(ptr, VS_DEV_CACHE_BITS)];

	if (c->dev == ptr && c->epoch == vs_epoch && c->vnic == VS_NONE)
		return 0;
	skb = vs_arg(ctx, 0, typed, 0);
	return sample_xmit(ptr, skb, c);
}

static __always_inline void forget(struct vs_inflight *f, __u32 i)
{
	set_tag(i, 0);
	f->skb = 0;
}

static __always_inline int copy_to_reader(const __u64 *ctx, const bool typed)
{
	__u64 addr = vs_arg(ctx, 0, typed, 1), hash = hash_skb(addr), waited;
	struct sk_buff *skb = (void *)addr;
	__u32 i = place_of_hash(hash), slot;
	struct vs_inflight *f;
	struct vs_vnic *v;

	if (vs_inflight_tag[i] != tag_of_hash(hash))
		return 0;
	f = bpf_map_lookup_elem(&vs_inflight, &i);
	if (!f || f->skb != addr)
		return 0;
	/* dev is a union with a socket's scratch space: compared, not followed. */
	if (f->dev != (__u64)BPF_CORE_READ(skb, dev)) {
		forget(f, i);
		vs_count_lost(VS_LOST_SAMPLE_STALE);
		return 0;
	}
	waited = bpf_ktime_get_ns() - f->start_ns;
	slot = f->vnic;
	v = bpf_map_lookup_elem(&vs_vnic, &slot);
	if (v && (__u16)v->gen == f->gen) {
		__u32 weight = 1u << (f->shift & 31);

		vs_hist_add(v->residence.n, waited, weight);
		__sync_fetch_and_add(&v->residence.sum_ns, waited * weight);
		__sync_fetch_and_add(&v->samples, 1);
	} else {
		vs_count_lost(VS_LOST_SAMPLE_STALE);
	}
	forget(f, i);
	return 0;
}

static __always_inline void note_burst(const struct vs_drop_key *key)
{
	struct vs_burst_key k = {
		.vnic = key->vnic, .gen = key->gen,
		.reason = key->reason, .direction = key->direction,
	};
	struct vs_burst *b = bpf_map_lookup_elem(&vs_burst, &k);
	__u64 now = bpf_ktime_get_ns(), n;

	if (!b) {
		struct vs_burst fresh = {};

		bpf_map_update_elem(&vs_burst, &k, &fresh, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&vs_burst, &k);
		if (!b) {
			vs_count_lost(VS_LOST_BURST_FULL);
			return;
		}
	}
	n = b->seen;
	__sync_fetch_and_add(&b->seen, 1);
	b->at_ns[n & 15] = now;
	if (n + 1 < VS_BURST__N || now - b->at_ns[(n + 1 - VS_BURST__N) & 15] > VS_BURST_WINDOW_NS)
		return;
	if (now - b->told_ns < VS_BURST_WINDOW_NS / 2)
		return;
	b->told_ns = now;
	struct vs_event e = { .type = VS_EVENT_BURST, .burst = k };

	vs_tell(&e);
}

static __always_inline void count_drop(__u32 slot, __u32 gen, __u8 dir, __u8 flags,
				       __u32 reason, __u64 location)
{
	struct vs_drop_key k = {
		.vnic = slot, .gen = gen, .location = location,
		.reason = reason, .direction = dir, .flags = flags,
	};
	__u64 one = 1, *n = bpf_map_lookup_elem(&vs_drop, &k);
	struct vs_vnic *v;

	if (!n && bpf_map_update_elem(&vs_drop, &k, &one, BPF_NOEXIST)) {
		/* Either another CPU was first, or there is no room. */
		n = bpf_map_lookup_elem(&vs_drop, &k);
		if (!n) {
			vs_count_lost(VS_LOST_DROP_FULL);
			v = bpf_map_lookup_elem(&vs_vnic, &slot);
			if (v && !(flags & VS_DROP_NODEV))
				__sync_fetch_and_add(&v->drops_untold[dir & 1], 1);
			return;
		}
	}
	if (n)
		__sync_fetch_and_add(n, 1);
	if (slot != VS_NONE && !(flags & VS_DROP_NODEV))
		note_burst(&k);
}

#define TCQ_F_BUILTIN 1

/*
 * A tap without a reader gets the noop qdisc, which refuses everything and
 * counts for the tap; but what it refuses is freed further up, at the same
 * place and for the same reason as the drops of a shaping qdisc, which count
 * for the qdisc. So the qdisc itself is asked. @dev was validated by the caller.
 */
static __always_inline __u64 place_of(struct sk_buff *skb, struct net_device *dev, __u32 reason,
				      __u64 location)
{
	__u32 queue = BPF_CORE_READ(skb, queue_mapping);
	struct netdev_queue *txq;
	struct Qdisc *q;

	if (cfg_has_reason && reason != cfg_qdisc_drop)
		return location;
	if (queue >= BPF_CORE_READ(dev, num_tx_queues))
		return location;
	txq = BPF_CORE_READ(dev, _tx);
	txq = (void *)txq + queue * bpf_core_type_size(struct netdev_queue);
	q = BPF_CORE_READ(txq, qdisc);
	if (!q || !(BPF_CORE_READ(q, flags) & TCQ_F_BUILTIN))
		return location;
	/* One byte in, like a return address: names are looked up below it. */
	q = (void *)BPF_CORE_READ(q, enqueue);
	return q ? (__u64)q + 1 : location;
}

static __always_inline int freed(struct sk_buff *skb, __u64 location, __u32 reason)
{
	__u64 dev = (__u64)BPF_CORE_READ(skb, dev);
	__u32 iif = BPF_CORE_READ(skb, skb_iif), i, here = 0;
	struct vs_inflight *f;
	struct vs_vnic_ref *ref;
	struct vs_vm_ref *vm;
	struct vs_dev_id id = {};
	struct vs_dev *d;

	i = place_of_hash(hash_skb((__u64)skb));
	f = bpf_map_lookup_elem(&vs_inflight, &i);
	if (f && f->skb == (__u64)skb) /* never read: there is no residence to tell */
		forget(f, i);

	if (!dev) {
		/* A frame refused before it had a device: its writer's. */
		vm = vs_vm_of_current();
		if (vm)
			count_drop(vm->vm, vm->gen, VS_DIR_TX, VS_DROP_NODEV, reason, location);
		return 0;
	}
	d = bpf_map_lookup_elem(&vs_dev, &dev);
	if (!d) {
		__u32 low = iif & ((1 << VS_IIF_BITS) - 1), *n;

		n = iif ? bpf_map_lookup_elem(&vs_iif, &low) : 0;
		if (n && *n)
			count_drop(VS_NONE, 0, VS_DIR_TX, 0, reason, location);
		return 0;
	}
	/* The address is one that we know. It may have been freed and given to
	 * another device since: a copy that cannot fault tells. */
	if (bpf_probe_read_kernel(&here, sizeof(here), &((struct net_device *)dev)->ifindex) ||
	    here != d->ifindex) {
		bpf_map_delete_elem(&vs_dev, &dev);
		vs_count_lost(VS_LOST_DEV_STALE);
		return 0;
	}
	if (d->vnic != VS_NONE && iif != d->ifindex) {
		location = place_of(skb, (void *)dev, reason, location);
		count_drop(d->vnic, d->gen, VS_DIR_RX, iif ? 0 : VS_DROP_IIF0, reason, location);
	}
	if (!iif)
		return 0;
	id.netns_cookie = d->netns_cookie;
	id.ifindex = iif;
	ref = bpf_map_lookup_elem(&vs_vnic_id, &id);
	if (ref)
		count_drop(ref->vnic, ref->gen, VS_DIR_TX,
			   d->vnic != VS_NONE && d->vnic != ref->vnic ? VS_DROP_PEER : 0,
			   reason, location);
	return 0;
}

SEC("?tp_btf/net_dev_start_xmit")
int vs_tap_xmit(__u64 *ctx)
{
	return start_xmit(ctx, true);
}

SEC("?raw_tp/net_dev_start_xmit")
int vs_tap_xmit_raw(__u64 *ctx)
{
	return start_xmit(ctx, false);
}

SEC("?tp_btf/skb_copy_datagram_iovec")
int vs_tap_copy(__u64 *ctx)
{
	return copy_to_reader(ctx, true);
}

SEC("?raw_tp/skb_copy_datagram_iovec")
int vs_tap_copy_raw(__u64 *ctx)
{
	return copy_to_reader(ctx, false);
}

SEC("?tp_btf/kfree_skb")
int vs_tap_free(__u64 *ctx)
{
	return freed((void *)vs_arg(ctx, 0, true, 2), ctx[1], cfg_has_reason ? ctx[2] : 0);
}

SEC("?raw_tp/kfree_skb")
int vs_tap_free_raw(__u64 *ctx)
{
	return freed((void *)ctx[0], ctx[1], cfg_has_reason ? ctx[2] : 0);
}

/* Where the file iterator cannot tell devices, a VM that only sends would
 * never be known to kfree_skb: learn from what it sends. */
SEC("?raw_tp/netif_receive_skb")
int vs_tap_learn(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	struct vs_dev_cached *c = &vs_dev_cache[vs_hash_ptr((__u64)dev, VS_DEV_CACHE_BITS)];

	if (c->dev != (__u64)dev || c->epoch != vs_epoch)
		learn_dev(dev, c);
	return 0;
}
