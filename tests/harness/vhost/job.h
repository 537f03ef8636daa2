/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * job - sends so many frames through a queue pair, at a rate and in batches
 *
 * A batch is published and kicked for at once. With a rate, a timer releases one
 * batch per tick; ticks that were missed are made up for, and frames for which
 * the ring has no room wait. Without, the ring is kept full.
 *
 * Threads: one. State: the struct.
 */
#ifndef VHOST_JOB_H
#define VHOST_JOB_H

#include "vhost/pair.h"

struct vd_plan {
	uint64_t count;		/* UINT64_MAX = until ms is over */
	uint64_t rate;		/* frames per second, 0 = as fast as it goes */
	uint64_t ms;		/* 0 = until count is reached */
	uint32_t batch;		/* frames per kick at most, 0 = decide */
	uint32_t bytes;		/* of a frame */
	bool stamp;
	unsigned char eth[POSE_ETH_BYTES];
};

struct vd_job {
	struct vd_plan plan;
	bool active;		/* until all is used */
	bool reported;		/* the owner's, false when started */
	int tick_fd;
	uint64_t due;		/* frames that the timer has released */
	uint64_t posted;
	uint32_t seq;
	uint64_t begin_ns, end_ns, done_ns;
	struct vd_counts before;
};

/* @job is not active, or zeroed but for tick_fd, a timerfd of the caller's. */
int vd_job_start(struct vd_job *job, struct vd_pair *pair, const struct vd_plan *plan);

/* The timer is due. */
void vd_job_tick(struct vd_job *job, struct vd_pair *pair);

/* Posts what is due and finds room; to be called when buffers came back, too. */
void vd_job_run(struct vd_job *job, struct vd_pair *pair);

/* Posts no more; what is posted already must still be used. */
void vd_job_stop(struct vd_job *job, struct vd_pair *pair);

/* Of what the job posted, how much the device is done with. */
uint64_t vd_job_used(const struct vd_job *job, const struct vd_pair *pair);

#endif
