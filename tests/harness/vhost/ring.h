/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring - the driver's side of a split virtqueue (virtio 1.1, section 2.6)
 *
 *	desc[num]	one buffer each: address, length, who may write it
 *	avail		flags, idx, ring[num]: descriptors that the driver offers;
 *			behind them used_event: signal me when used.idx passes this
 *	used		flags, idx, ring[num]: descriptors that the device is done with,
 *			with lengths; behind them avail_event: kick me when
 *			avail.idx passes this
 *
 * The driver writes desc and avail, the device used. Both idx run freely modulo
 * 65536. Descriptor i always stands for buffer i, so nothing is ever chained.
 *
 * Whoever wants fewer notifications says so in a flag (VRING_AVAIL_F_NO_INTERRUPT,
 * VRING_USED_F_NO_NOTIFY) or, with VIRTIO_RING_F_EVENT_IDX, in the two events.
 *
 * Pure memory: no system call in here. Threads: one. State: the struct.
 */
#ifndef VHOST_RING_H
#define VHOST_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VD_RING_MAX	1024

struct vd_ring {
	struct vring vr;
	bool event_idx;
	uint16_t offered;	/* avail.idx, with what is not published yet */
	uint16_t published;	/* avail.idx as the device sees it */
	uint16_t judged;	/* avail.idx when a kick was last decided on */
	uint16_t taken;		/* used.idx up to which we looked */
	unsigned int nfree;
	uint16_t free[VD_RING_MAX];
};

/* Bytes of memory for a ring of @num, a power of 2. */
size_t vd_ring_bytes(unsigned int num);

/* @mem is zeroed, aligned to a page, and stays the caller's. */
void vd_ring_init(struct vd_ring *ring, void *mem, unsigned int num, bool event_idx);

/*
 * Takes a free descriptor, of which there must be one (nfree). Its number is that
 * of the caller's buffer.
 */
uint16_t vd_ring_reserve(struct vd_ring *ring);

/* Offers a reserved descriptor; the device sees it with the next publish. */
void vd_ring_offer(struct vd_ring *ring, uint16_t id, const void *addr, uint32_t len,
		   bool device_writes);

void vd_ring_publish(struct vd_ring *ring);

/*
 * Does the device ask for a kick for what was published since the last call of
 * this? To be called after each publish: the answer to 65536 at once means nothing.
 */
bool vd_ring_kick_due(struct vd_ring *ring);

/* The next used descriptor, which becomes free; false if there is none. */
bool vd_ring_take(struct vd_ring *ring, uint16_t *ret_id, uint32_t *ret_len);

/*
 * Asks for a signal once more than @after further descriptors are used; without
 * event_idx, with the next ones. Returns whether they are already, so that the
 * signal may not come.
 */
bool vd_ring_signals_ask(struct vd_ring *ring, unsigned int after);

/* Asks for none. */
void vd_ring_signals_refuse(struct vd_ring *ring);

/* Descriptors that the device holds. */
unsigned int vd_ring_outstanding(const struct vd_ring *ring);

#endif
