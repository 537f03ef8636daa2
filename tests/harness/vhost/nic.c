// SPDX-License-Identifier: GPL-2.0-or-later
#include "vhost/nic.h"

#include "pose/waits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define VD_EVENT__N	64

enum { VD_EV_RX, VD_EV_TX, VD_EV_TICK, VD_EV_LOOK, VD_EV__N };

static struct vd_nic nics[VD_NIC__N];
static int epoll_fd = -1;

int vd_nics_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

void vd_nics_done(void)
{
	for (int i = 0; i < VD_NIC__N; i++)
		vd_nic_close(&nics[i]);
	close(epoll_fd);
}

struct vd_nic *vd_nic_at(int at)
{
	for (int i = 0; i < VD_NIC__N; i++)
		if (nics[i].lanes && !at--)
			return &nics[i];
	return NULL;
}

int vd_nics_fd(void)
{
	return epoll_fd;
}

/* --- opening ---------------------------------------------------------- */

static int vd_spec_parse(const char *spec, struct vd_config *cfg, char name[128], int *queues,
			 int *flags)
{
	char *word, *save = NULL;

	*cfg = (struct vd_config){ .ring = 256, .buffer_bytes = 2048, .event_idx = true };
	*queues = 1;
	*flags = POSE_TAP_VNET_HDR;
	if (snprintf(name, 128, "%s", spec) >= 128 || !strtok_r(name, ",", &save))
		return -EINVAL;
	while ((word = strtok_r(NULL, ",", &save))) {
		char *eq = strchr(word, '=');
		unsigned int n = eq ? (unsigned int)strtoul(eq + 1, NULL, 0) : 0;

		if (!strcmp(word, "persist"))
			*flags |= POSE_TAP_PERSIST;
		else if (!strcmp(word, "down"))
			*flags |= POSE_TAP_DOWN;
		else if (!strncmp(word, "queues=", 7))
			*queues = (int)n;
		else if (!strncmp(word, "ring=", 5))
			cfg->ring = n;
		else if (!strncmp(word, "buffer=", 7))
			cfg->buffer_bytes = n;
		else if (!strcmp(word, "thread=kthread"))
			cfg->thread = VD_THREAD_KTHREAD;
		else if (!strcmp(word, "thread=task"))
			cfg->thread = VD_THREAD_TASK;
		else if (!strncmp(word, "busy_poll_us=", 13))
			cfg->busy_poll_us = n;
		else if (!strncmp(word, "event_idx=", 10))
			cfg->event_idx = n != 0;
		else
			return -EINVAL;
	}
	if (cfg->ring < 2 || cfg->ring > VD_RING_MAX || (cfg->ring & (cfg->ring - 1)) ||
	    cfg->buffer_bytes < 128 || cfg->buffer_bytes > 65536)
		return -EINVAL;
	return 0;
}

static void vd_frame_seen(const unsigned char *frame, size_t len)
{
	pose_waits_note(frame, len);
}

static int vd_watch(int fd, int nic, int lane, int kind)
{
	struct epoll_event ev = {
		.events = EPOLLIN,
		.data.u32 = (uint32_t)((nic * POSE_TAP_QUEUE__N + lane) * VD_EV__N + kind),
	};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static void vd_lane_free(struct vd_lane *lane)
{
	vd_pair_close(&lane->pair);
	if (lane->job.tick_fd >= 0)
		close(lane->job.tick_fd);
	if (lane->look_fd >= 0)
		close(lane->look_fd);
	free(lane);
}

static int vd_lane_open(struct vd_nic *nic, int at, char *why)
{
	int n = (int)(nic - nics), r;
	struct vd_lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return -ENOMEM;
	r = vd_pair_open(&lane->pair, nic->tap.fd[at], &nic->cfg, vd_frame_seen, why);
	lane->job.tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	lane->look_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!r)
		r = vd_watch(lane->pair.q[VD_RX].call_fd, n, at, VD_EV_RX);
	if (!r)
		r = vd_watch(lane->pair.q[VD_TX].call_fd, n, at, VD_EV_TX);
	if (!r)
		r = vd_watch(lane->job.tick_fd, n, at, VD_EV_TICK);
	if (!r)
		r = vd_watch(lane->look_fd, n, at, VD_EV_LOOK);
	if (r) {
		vd_lane_free(lane);
		return r;
	}
	nic->lane[nic->lanes++] = lane;
	return 0;
}

int vd_nic_open(const char *spec, char ret_why[160])
{
	struct vd_nic *nic = NULL;
	int queues, flags, r;
	char name[128];

	for (int i = VD_NIC__N - 1; i >= 0; i--)
		if (!nics[i].lanes)
			nic = &nics[i];
	if (!nic) {
		snprintf(ret_why, 160, "there are %d taps already", VD_NIC__N);
		return -ENOSPC;
	}
	r = vd_spec_parse(spec, &nic->cfg, name, &queues, &flags);
	if (r) {
		snprintf(ret_why, 160, "not like " VD_NIC_SPEC_HELP);
		return r;
	}
	r = pose_tap_open(&nic->tap, name, queues, flags);
	if (r) {
		snprintf(ret_why, 160, "tap of %d queues: %s", queues, strerror(-r));
		return r;
	}
	for (int i = 0; !r && i < queues; i++)
		r = vd_lane_open(nic, i, ret_why);
	if (r) {
		vd_nic_close(nic);
		pose_tap_close(&nic->tap);
	}
	return r;
}

void vd_nic_close(struct vd_nic *nic)
{
	if (!nic->lanes)
		return;
	while (nic->lanes)
		vd_lane_free(nic->lane[--nic->lanes]);
	pose_tap_close(&nic->tap);
}

/* --- serving ---------------------------------------------------------- */

static void vd_lane_rx(struct vd_lane *lane)
{
	lane->more[VD_RX] = vd_pair_rx_run(&lane->pair);
}

static void vd_lane_tx(struct vd_lane *lane)
{
	lane->more[VD_TX] = vd_pair_tx_run(&lane->pair);
	vd_job_run(&lane->job, &lane->pair);
}

static void vd_lane_event(struct vd_lane *lane, int kind)
{
	uint64_t n;

	switch (kind) {
	case VD_EV_RX:
		/* A call that came in spite of the suppression wakes nobody. */
		if (vd_queue_calls_fetch(&lane->pair.q[VD_RX]) && !lane->pair.q[VD_RX].notify_off)
			vd_lane_rx(lane);
		break;
	case VD_EV_TX:
		if (vd_queue_calls_fetch(&lane->pair.q[VD_TX]) && !lane->pair.q[VD_TX].notify_off)
			vd_lane_tx(lane);
		break;
	case VD_EV_TICK:
		vd_job_tick(&lane->job, &lane->pair);
		break;
	default:
		if (read(lane->look_fd, &n, sizeof(n)) == sizeof(n)) {
			vd_lane_rx(lane);
			vd_lane_tx(lane);
		}
	}
}

bool vd_nics_more(void)
{
	for (int i = 0; i < VD_NIC__N; i++)
		for (int k = 0; k < nics[i].lanes; k++)
			if (nics[i].lane[k]->more[VD_RX] || nics[i].lane[k]->more[VD_TX])
				return true;
	return false;
}

void vd_nics_run(int timeout_ms)
{
	struct epoll_event ev[VD_EVENT__N];
	int n;

	n = epoll_wait(epoll_fd, ev, VD_EVENT__N, vd_nics_more() ? 0 : timeout_ms);
	for (int i = 0; i < VD_NIC__N; i++)
		for (int k = 0; k < nics[i].lanes; k++) {
			if (nics[i].lane[k]->more[VD_RX])
				vd_lane_rx(nics[i].lane[k]);
			if (nics[i].lane[k]->more[VD_TX])
				vd_lane_tx(nics[i].lane[k]);
		}
	for (int i = 0; i < n; i++) {
		int at = (int)ev[i].data.u32 / VD_EV__N;
		struct vd_nic *nic = &nics[at / POSE_TAP_QUEUE__N];

		vd_lane_event(nic->lane[at % POSE_TAP_QUEUE__N], (int)ev[i].data.u32 % VD_EV__N);
	}
}

void vd_lane_look_every(struct vd_lane *lane, uint64_t us)
{
	uint64_t ns = us * 1000;
	struct itimerspec it = {
		.it_interval = { (time_t)(ns / POSE_NS_PER_S), (long)(ns % POSE_NS_PER_S) },
	};

	it.it_value = it.it_interval;
	timerfd_settime(lane->look_fd, 0, &it, NULL);
}
