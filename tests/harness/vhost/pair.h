/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pair - a queue pair: one /dev/vhost-net whose back-end is one queue of a tap
 *
 * A guest's driver, as far as the host can tell. The pair owns one piece of
 * memory that holds, one after the other,
 *
 *	rx ring | tx ring | rx buffers | tx buffers
 *
 * and that is also the whole of the guest: SET_MEM_TABLE gets it as one region
 * whose guest addresses are our own. Virtqueue 0 is rx, 1 is tx. Each frame has a
 * struct virtio_net_hdr_mrg_rxbuf (12 bytes) in front, in the same buffer; frames
 * larger than an rx buffer span several (VIRTIO_NET_F_MRG_RXBUF).
 *
 * One worker serves both queues: VHOST_NEW_WORKER is vhost_scsi's, vhost_net up to
 * Linux 7.2 refuses it.
 *
 * The counts are exact: a kick is a write to the kick eventfd, a call is one
 * signal of the device, of which a read of the call eventfd may fetch several.
 *
 * Nothing here waits. Threads: one. State: the struct.
 */
#ifndef VHOST_PAIR_H
#define VHOST_PAIR_H

#include "pose/pose.h"
#include "vhost/ring.h"

#define VD_HDR_BYTES	12u	/* struct virtio_net_hdr_mrg_rxbuf */

enum { VD_RX, VD_TX, VD_QUEUE__N };

enum vd_thread { VD_THREAD_DEFAULT, VD_THREAD_KTHREAD, VD_THREAD_TASK };

struct vd_config {
	unsigned int ring;		/* descriptors per virtqueue */
	unsigned int buffer_bytes;	/* per descriptor, with the header */
	unsigned int busy_poll_us;	/* VHOST_SET_VRING_BUSYLOOP_TIMEOUT */
	enum vd_thread thread;		/* whose the worker is: the kernel's, or a thread of ours */
	bool event_idx;
};

struct vd_counts {
	uint64_t posted;	/* buffers */
	uint64_t used;
	uint64_t packets;	/* rx: received, tx: done with by the device */
	uint64_t bytes;		/* of frames, without headers */
	uint64_t kicks;
	uint64_t kicks_spared;	/* the device did not ask for one */
	uint64_t kicks_withheld; /* it did, but kicking was off */
	uint64_t calls;
	uint64_t wakeups;	/* reads that found calls */
	uint64_t errors;	/* signals of the error eventfd: the device gave up */
};

struct vd_queue {
	struct vd_ring ring;
	unsigned char *buffers;
	int kick_fd, call_fd, err_fd;
	uint32_t frame_bytes[VD_RING_MAX];	/* tx: length by descriptor */
	unsigned int merge_left;		/* rx: buffers to come of this packet */
	unsigned int post_limit;		/* rx: buffers that the device may hold */
	bool kick_off, kick_owed;
	bool notify_off;
	struct vd_counts counts;
};

struct vd_pair {
	struct vd_config cfg;
	int vhost_fd;		/* -1 = closed */
	void *mem;
	size_t mem_bytes;
	struct vd_queue q[VD_QUEUE__N];
	/* Sees each received frame: its first @len bytes, those of the first buffer. May be NULL. */
	void (*on_frame)(const unsigned char *frame, size_t len);
};

/*
 * Sets up the device on @tap_fd, one queue of a tap with IFF_VNET_HDR, and posts
 * all rx buffers. Returns 0 or -errno with what failed on what, and what helps,
 * in @ret_why.
 */
int vd_pair_open(struct vd_pair *pair, int tap_fd, const struct vd_config *cfg,
		 void (*on_frame)(const unsigned char *frame, size_t len), char ret_why[160]);
void vd_pair_close(struct vd_pair *pair);

/* Fetches the calls that came; true if there were any. */
bool vd_queue_calls_fetch(struct vd_queue *q);
void vd_queue_errors_fetch(struct vd_queue *q);

/*
 * Takes what the device is done with, at most one ring of it, and posts rx
 * buffers anew as far as the limit permits. Returns whether there is more, and no
 * signal to come for it.
 */
bool vd_pair_rx_run(struct vd_pair *pair);
bool vd_pair_tx_run(struct vd_pair *pair);

/* Posts up to the limit, as after a change of it. */
void vd_pair_rx_refill(struct vd_pair *pair);

/*
 * Posts @n frames, of @bytes each including the 14 of @eth, and kicks at most
 * once. If @seq is not NULL, frames are stamped and the number counts on. Returns
 * how many there was room for.
 */
unsigned int vd_pair_tx_post(struct vd_pair *pair, unsigned int n, uint32_t bytes,
			     const unsigned char *eth, uint32_t *seq);

/* Kicks whatever the device may think of it. */
void vd_queue_kick(struct vd_queue *q);

/* Gives the kick that is owed since kicking was off. */
void vd_queue_kick_resume(struct vd_queue *q);

#endif
