// SPDX-License-Identifier: GPL-2.0-or-later
#include "vhost/ring.h"

#include <assert.h>

#define VD_RING_ALIGN	64u

size_t vd_ring_bytes(unsigned int num)
{
	return vring_size(num, VD_RING_ALIGN);
}

void vd_ring_init(struct vd_ring *ring, void *mem, unsigned int num, bool event_idx)
{
	assert(num && num <= VD_RING_MAX && !(num & (num - 1)));
	*ring = (struct vd_ring){ .event_idx = event_idx, .nfree = num };
	vring_init(&ring->vr, num, mem, VD_RING_ALIGN);
	for (unsigned int i = 0; i < num; i++)
		ring->free[i] = (uint16_t)(num - 1 - i);
}

uint16_t vd_ring_reserve(struct vd_ring *ring)
{
	assert(ring->nfree);
	return ring->free[--ring->nfree];
}

void vd_ring_offer(struct vd_ring *ring, uint16_t id, const void *addr, uint32_t len,
		   bool device_writes)
{
	ring->vr.desc[id] = (struct vring_desc){
		.addr = (uintptr_t)addr,
		.len = len,
		.flags = device_writes ? VRING_DESC_F_WRITE : 0,
	};
	ring->vr.avail->ring[ring->offered++ & (ring->vr.num - 1)] = id;
}

void vd_ring_publish(struct vd_ring *ring)
{
	/* The device may read descriptors as soon as it sees the index. */
	__atomic_store_n(&ring->vr.avail->idx, ring->offered, __ATOMIC_RELEASE);
	ring->published = ring->offered;
}

bool vd_ring_kick_due(struct vd_ring *ring)
{
	uint16_t old = ring->judged, event;

	if (old == ring->published)
		return false;
	ring->judged = ring->published;
	/* The index first, then the question: the device does it the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!ring->event_idx)
		return !(__atomic_load_n(&ring->vr.used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY);
	event = __atomic_load_n((uint16_t *)&vring_avail_event(&ring->vr), __ATOMIC_RELAXED);
	return vring_need_event(event, ring->published, old);
}

bool vd_ring_take(struct vd_ring *ring, uint16_t *ret_id, uint32_t *ret_len)
{
	const struct vring_used_elem *elem;

	if (ring->taken == __atomic_load_n(&ring->vr.used->idx, __ATOMIC_ACQUIRE))
		return false;
	elem = &ring->vr.used->ring[ring->taken++ & (ring->vr.num - 1)];
	assert(elem->id < ring->vr.num && ring->nfree < ring->vr.num);
	*ret_id = (uint16_t)elem->id;
	*ret_len = elem->len;
	ring->free[ring->nfree++] = (uint16_t)elem->id;
	return true;
}

bool vd_ring_signals_ask(struct vd_ring *ring, unsigned int after)
{
	uint16_t waiting;

	if (!ring->event_idx)
		after = 0;
	__atomic_store_n(&vring_used_event(&ring->vr), (uint16_t)(ring->taken + after), __ATOMIC_RELAXED);
	__atomic_store_n(&ring->vr.avail->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	waiting = (uint16_t)(__atomic_load_n(&ring->vr.used->idx, __ATOMIC_ACQUIRE) - ring->taken);
	return waiting > after;
}

void vd_ring_signals_refuse(struct vd_ring *ring)
{
	/*
	 * Half way round is where the device cannot be: not at taken - 1, as a signal
	 * for what we have just taken may be yet to be decided.
	 */
	if (ring->event_idx)
		__atomic_store_n(&vring_used_event(&ring->vr), (uint16_t)(ring->taken ^ 0x8000),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->vr.avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}

unsigned int vd_ring_outstanding(const struct vd_ring *ring)
{
	return ring->vr.num - ring->nfree;
}
