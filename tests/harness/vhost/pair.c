// SPDX-License-Identifier: GPL-2.0-or-later
#include "vhost/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define VD_TAKE_BATCH	64	/* rx buffers go back to the device in portions */

/* Newer than the headers of the build may be. */
#ifndef VHOST_SET_FORK_FROM_OWNER
#define VHOST_SET_FORK_FROM_OWNER _IOW(VHOST_VIRTIO, 0x84, __u8)
#endif

_Static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == VD_HDR_BYTES, "header");

static size_t vd_round_page(size_t bytes)
{
	return (bytes + 4095) & ~(size_t)4095;
}

/* --- set-up ----------------------------------------------------------- */

static int vd_fail(char *why, const char *what, const char *hint)
{
	int err = errno;

	snprintf(why, 160, "%s: %s%s%s", what, strerror(err), *hint ? ": " : "", hint);
	return -err;
}

static int vd_pair_memory(struct vd_pair *pair, char *why)
{
	size_t ring_bytes = vd_round_page(vd_ring_bytes(pair->cfg.ring));
	size_t buffers_bytes = (size_t)pair->cfg.ring * pair->cfg.buffer_bytes;
	unsigned char *at;

	pair->mem_bytes = 2 * ring_bytes + vd_round_page(2 * buffers_bytes);
	at = mmap(NULL, pair->mem_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) {
		pair->mem_bytes = 0;
		return vd_fail(why, "mmap of the guest's memory", "");
	}
	pair->mem = at;
	for (int i = 0; i < VD_QUEUE__N; i++) {
		vd_ring_init(&pair->q[i].ring, at + (size_t)i * ring_bytes, pair->cfg.ring, pair->cfg.event_idx);
		pair->q[i].buffers = at + 2 * ring_bytes + (size_t)i * buffers_bytes;
	}
	return 0;
}

static int vd_pair_features(const struct vd_pair *pair, char *why)
{
	uint64_t want = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF, has;

	if (pair->cfg.event_idx)
		want |= 1ull << VIRTIO_RING_F_EVENT_IDX;
	if (ioctl(pair->vhost_fd, VHOST_GET_FEATURES, &has))
		return vd_fail(why, "VHOST_GET_FEATURES", "");
	if ((has & want) != want) {
		errno = EOPNOTSUPP;
		return vd_fail(why, "VHOST_GET_FEATURES", "version_1, mrg_rxbuf or event_idx is missing");
	}
	if (ioctl(pair->vhost_fd, VHOST_SET_FEATURES, &want))
		return vd_fail(why, "VHOST_SET_FEATURES", "");
	return 0;
}

static int vd_pair_mem_table(const struct vd_pair *pair, char *why)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region;
	} table = {
		.head.nregions = 1,
		.region = {
			.guest_phys_addr = (uintptr_t)pair->mem,
			.memory_size = pair->mem_bytes,
			.userspace_addr = (uintptr_t)pair->mem,
		},
	};

	if (ioctl(pair->vhost_fd, VHOST_SET_MEM_TABLE, &table))
		return vd_fail(why, "VHOST_SET_MEM_TABLE", "");
	return 0;
}

static int vd_queue_open(const struct vd_pair *pair, struct vd_queue *q, unsigned int index,
			 char *why)
{
	struct vhost_vring_state num = { .index = index, .num = pair->cfg.ring };
	struct vhost_vring_state base = { .index = index };
	struct vhost_vring_state poll = { .index = index, .num = pair->cfg.busy_poll_us };
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = (uintptr_t)q->ring.vr.desc,
		.avail_user_addr = (uintptr_t)q->ring.vr.avail,
		.used_user_addr = (uintptr_t)q->ring.vr.used,
	};
	struct vhost_vring_file file = { .index = index };
	int fd = pair->vhost_fd;

	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick_fd < 0 || q->call_fd < 0 || q->err_fd < 0)
		return vd_fail(why, "eventfd", "");
	if (ioctl(fd, VHOST_SET_VRING_NUM, &num) || ioctl(fd, VHOST_SET_VRING_BASE, &base) ||
	    ioctl(fd, VHOST_SET_VRING_ADDR, &addr))
		return vd_fail(why, "VHOST_SET_VRING_NUM, _BASE or _ADDR", "");
	file.fd = q->kick_fd;
	if (ioctl(fd, VHOST_SET_VRING_KICK, &file))
		return vd_fail(why, "VHOST_SET_VRING_KICK", "");
	file.fd = q->call_fd;
	if (ioctl(fd, VHOST_SET_VRING_CALL, &file))
		return vd_fail(why, "VHOST_SET_VRING_CALL", "");
	file.fd = q->err_fd;
	if (ioctl(fd, VHOST_SET_VRING_ERR, &file))
		return vd_fail(why, "VHOST_SET_VRING_ERR", "");
	if (poll.num && ioctl(fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &poll))
		return vd_fail(why, "VHOST_SET_VRING_BUSYLOOP_TIMEOUT", "");
	return 0;
}

static int vd_pair_thread(const struct vd_pair *pair, char *why)
{
	uint8_t task = pair->cfg.thread == VD_THREAD_TASK;

	if (pair->cfg.thread == VD_THREAD_DEFAULT)
		return 0;
	if (ioctl(pair->vhost_fd, VHOST_SET_FORK_FROM_OWNER, &task))
		return vd_fail(why, "VHOST_SET_FORK_FROM_OWNER",
			       "this kernel does not let one choose the kind of worker");
	return 0;
}

static int vd_pair_setup(struct vd_pair *pair, int tap_fd, char *why)
{
	int hdr_bytes = VD_HDR_BYTES, r;

	if (ioctl(tap_fd, TUNSETVNETHDRSZ, &hdr_bytes))
		return vd_fail(why, "TUNSETVNETHDRSZ", "");
	pair->vhost_fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (pair->vhost_fd < 0)
		return vd_fail(why, "open /dev/vhost-net",
			       errno == ENOENT || errno == ENODEV ? "load the module vhost_net" : "");
	r = vd_pair_thread(pair, why);
	if (!r && ioctl(pair->vhost_fd, VHOST_SET_OWNER))
		r = vd_fail(why, "VHOST_SET_OWNER", "");
	if (!r)
		r = vd_pair_memory(pair, why);
	if (!r)
		r = vd_pair_features(pair, why);
	if (!r)
		r = vd_pair_mem_table(pair, why);
	for (unsigned int i = 0; !r && i < VD_QUEUE__N; i++)
		r = vd_queue_open(pair, &pair->q[i], i, why);
	for (unsigned int i = 0; !r && i < VD_QUEUE__N; i++) {
		struct vhost_vring_file backend = { .index = i, .fd = tap_fd };

		if (ioctl(pair->vhost_fd, VHOST_NET_SET_BACKEND, &backend))
			r = vd_fail(why, "VHOST_NET_SET_BACKEND with the tap", "");
	}
	return r;
}

int vd_pair_open(struct vd_pair *pair, int tap_fd, const struct vd_config *cfg,
		 void (*on_frame)(const unsigned char *frame, size_t len), char ret_why[160])
{
	int r;

	memset(pair, 0, sizeof(*pair));
	pair->cfg = *cfg;
	pair->on_frame = on_frame;
	pair->vhost_fd = -1;
	for (int i = 0; i < VD_QUEUE__N; i++)
		pair->q[i].kick_fd = pair->q[i].call_fd = pair->q[i].err_fd = -1;
	r = vd_pair_setup(pair, tap_fd, ret_why);
	if (r) {
		vd_pair_close(pair);
		return r;
	}
	pair->q[VD_RX].post_limit = cfg->ring;
	vd_pair_rx_refill(pair);
	for (int i = 0; i < VD_QUEUE__N; i++)
		vd_ring_signals_ask(&pair->q[i].ring, 0);
	return 0;
}

void vd_pair_close(struct vd_pair *pair)
{
	/* The last reference: the kernel stops the worker before it returns. */
	if (pair->vhost_fd >= 0)
		close(pair->vhost_fd);
	pair->vhost_fd = -1;
	for (int i = 0; i < VD_QUEUE__N; i++) {
		int *fds[] = { &pair->q[i].kick_fd, &pair->q[i].call_fd, &pair->q[i].err_fd };

		for (int k = 0; k < 3; k++) {
			if (*fds[k] >= 0)
				close(*fds[k]);
			*fds[k] = -1;
		}
	}
	if (pair->mem_bytes)
		munmap(pair->mem, pair->mem_bytes);
	pair->mem_bytes = 0;
}

/* --- notifications ---------------------------------------------------- */

void vd_queue_kick(struct vd_queue *q)
{
	uint64_t one = 1;

	if (write(q->kick_fd, &one, sizeof(one)) == sizeof(one))
		q->counts.kicks++;
}

static void vd_queue_publish(struct vd_queue *q)
{
	vd_ring_publish(&q->ring);
	if (!vd_ring_kick_due(&q->ring)) {
		q->counts.kicks_spared++;
	} else if (q->kick_off) {
		q->counts.kicks_withheld++;
		q->kick_owed = true;
	} else {
		vd_queue_kick(q);
	}
}

void vd_queue_kick_resume(struct vd_queue *q)
{
	q->kick_off = false;
	if (q->kick_owed)
		vd_queue_kick(q);
	q->kick_owed = false;
}

bool vd_queue_calls_fetch(struct vd_queue *q)
{
	uint64_t n;

	if (read(q->call_fd, &n, sizeof(n)) != sizeof(n))
		return false;
	q->counts.calls += n;
	q->counts.wakeups++;
	return true;
}

void vd_queue_errors_fetch(struct vd_queue *q)
{
	uint64_t n;

	if (read(q->err_fd, &n, sizeof(n)) == sizeof(n))
		q->counts.errors += n;
}

/* --- receive ---------------------------------------------------------- */

void vd_pair_rx_refill(struct vd_pair *pair)
{
	struct vd_queue *q = &pair->q[VD_RX];
	bool any = false;

	while (q->ring.nfree && vd_ring_outstanding(&q->ring) < q->post_limit) {
		uint16_t id = vd_ring_reserve(&q->ring);

		vd_ring_offer(&q->ring, id, q->buffers + (size_t)id * pair->cfg.buffer_bytes,
			      pair->cfg.buffer_bytes, true);
		q->counts.posted++;
		any = true;
	}
	if (any)
		vd_queue_publish(q);
}

static void vd_rx_buffer(struct vd_pair *pair, struct vd_queue *q, uint16_t id, uint32_t len)
{
	const unsigned char *buffer = q->buffers + (size_t)id * pair->cfg.buffer_bytes;
	struct virtio_net_hdr_mrg_rxbuf hdr;

	q->counts.used++;
	if (q->merge_left) {
		q->merge_left--;
		q->counts.bytes += len;
		return;
	}
	if (len < VD_HDR_BYTES)
		return;
	memcpy(&hdr, buffer, sizeof(hdr));
	q->merge_left = hdr.num_buffers ? hdr.num_buffers - 1u : 0;
	q->counts.packets++;
	q->counts.bytes += len - VD_HDR_BYTES;
	if (pair->on_frame)
		pair->on_frame(buffer + VD_HDR_BYTES, len - VD_HDR_BYTES);
}

bool vd_pair_rx_run(struct vd_pair *pair)
{
	struct vd_queue *q = &pair->q[VD_RX];
	unsigned int taken = 0, portion = VD_TAKE_BATCH;
	uint32_t len;
	uint16_t id;

	/* As drivers do: no signals while we look anyway. */
	vd_ring_signals_refuse(&q->ring);
	while (taken < pair->cfg.ring && portion == VD_TAKE_BATCH) {
		for (portion = 0; portion < VD_TAKE_BATCH && vd_ring_take(&q->ring, &id, &len); portion++)
			vd_rx_buffer(pair, q, id, len);
		vd_pair_rx_refill(pair);
		taken += portion;
	}
	return !q->notify_off && vd_ring_signals_ask(&q->ring, 0);
}

/* --- transmit --------------------------------------------------------- */

bool vd_pair_tx_run(struct vd_pair *pair)
{
	struct vd_queue *q = &pair->q[VD_TX];
	unsigned int taken = 0;
	uint32_t len;
	uint16_t id;

	vd_ring_signals_refuse(&q->ring);
	while (taken < pair->cfg.ring && vd_ring_take(&q->ring, &id, &len)) {
		q->counts.used++;
		q->counts.packets++;
		q->counts.bytes += q->frame_bytes[id];
		taken++;
	}
	/* Nobody waits for the buffers before most are back, as in Linux's driver. */
	return !q->notify_off && vd_ring_signals_ask(&q->ring, vd_ring_outstanding(&q->ring) * 3 / 4);
}

unsigned int vd_pair_tx_post(struct vd_pair *pair, unsigned int n, uint32_t bytes,
			     const unsigned char *eth, uint32_t *seq)
{
	struct pose_stamp stamp = { .magic = POSE_STAMP_MAGIC };
	bool stamped = seq && bytes >= POSE_ETH_BYTES + sizeof(stamp);
	struct vd_queue *q = &pair->q[VD_TX];
	unsigned int done;

	for (done = 0; done < n && q->ring.nfree; done++) {
		uint16_t id = vd_ring_reserve(&q->ring);
		unsigned char *buffer = q->buffers + (size_t)id * pair->cfg.buffer_bytes;

		memset(buffer, 0, VD_HDR_BYTES);
		memcpy(buffer + VD_HDR_BYTES, eth, POSE_ETH_BYTES);
		if (stamped) {
			stamp.seq = (*seq)++;
			stamp.sent_ns = pose_now_ns();
			memcpy(buffer + VD_HDR_BYTES + POSE_ETH_BYTES, &stamp, sizeof(stamp));
		}
		q->frame_bytes[id] = bytes;
		vd_ring_offer(&q->ring, id, buffer, VD_HDR_BYTES + bytes, false);
	}
	q->counts.posted += done;
	if (done)
		vd_queue_publish(q);
	return done;
}
