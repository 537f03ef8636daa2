/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nic - the vNICs of the posed guest, and the loop that serves them
 *
 * A vNIC is a tap with a queue pair for each of its queues. All of them are served
 * by one epoll set: calls of the device, ticks of the send jobs, and, where calls
 * are suppressed, ticks upon which the driver looks by itself.
 *
 * Threads: one. State: the table of vNICs and the epoll set.
 */
#ifndef VHOST_NIC_H
#define VHOST_NIC_H

#include "pose/tap.h"
#include "vhost/job.h"

#define VD_NIC__N	16

struct vd_lane {
	struct vd_pair pair;
	struct vd_job job;	/* of what the guest sends */
	int look_fd;		/* timerfd: look at the rings without being called */
	bool more[VD_QUEUE__N];	/* the last look left something */
	struct vd_counts rx_reported;	/* at the last `receive` */
};

struct vd_nic {
	struct pose_tap tap;
	struct vd_config cfg;
	struct vd_lane *lane[POSE_TAP_QUEUE__N];
	int lanes;	/* 0 = closed */
};

int vd_nics_init(void);
void vd_nics_done(void);

/*
 * Opens a vNIC. @spec: NAME[,WORD]..., see VD_NIC_SPEC_HELP. Returns 0 or -errno,
 * with the reason in words in @ret_why.
 */
int vd_nic_open(const char *spec, char ret_why[160]);
void vd_nic_close(struct vd_nic *nic);

#define VD_NIC_SPEC_HELP                                                                  \
	"NAME[,queues=N][,ring=N][,buffer=BYTES]"                                         \
	"[,thread=kthread|task][,event_idx=0|1][,busy_poll_us=N][,persist][,down]"

/* The i-th open vNIC, NULL behind the last. */
struct vd_nic *vd_nic_at(int i);

/* The descriptor becomes readable when there is something to do. */
int vd_nics_fd(void);

/* There is something to do although the descriptor is silent. */
bool vd_nics_more(void);

/* Serves all vNICs once; waits at most @timeout_ms (-1 = for ever) for something to do. */
void vd_nics_run(int timeout_ms);

/* Looks every @us microseconds, 0 = not at all. */
void vd_lane_look_every(struct vd_lane *lane, uint64_t us);

#endif
