// SPDX-License-Identifier: GPL-2.0-or-later
#include "vhost/job.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define VD_BATCH_FULL	64	/* as many as vhost works off between two signals */

static void vd_job_timer(const struct vd_job *job, uint64_t first_ns, uint64_t every_ns)
{
	struct itimerspec it = {
		.it_value = { (time_t)(first_ns / POSE_NS_PER_S), (long)(first_ns % POSE_NS_PER_S) },
		.it_interval = { (time_t)(every_ns / POSE_NS_PER_S), (long)(every_ns % POSE_NS_PER_S) },
	};

	timerfd_settime(job->tick_fd, 0, &it, NULL);
}

int vd_job_start(struct vd_job *job, struct vd_pair *pair, const struct vd_plan *plan)
{
	int fd = job->tick_fd;

	if (job->active)
		return -EBUSY;
	if (plan->bytes < POSE_ETH_BYTES || plan->bytes > pair->cfg.buffer_bytes - VD_HDR_BYTES)
		return -EMSGSIZE;
	*job = (struct vd_job){
		.plan = *plan,
		.active = true,
		.tick_fd = fd,
		.begin_ns = pose_now_ns(),
		.before = pair->q[VD_TX].counts,
	};
	if (!job->plan.batch) {
		/* A tick each millisecond keeps the timer cheap beside the frames. */
		job->plan.batch = plan->rate ? (uint32_t)(plan->rate / 1000) : VD_BATCH_FULL;
		if (!job->plan.batch)
			job->plan.batch = 1;
	}
	if (plan->ms)
		job->end_ns = job->begin_ns + plan->ms * POSE_NS_PER_MS;
	if (plan->rate) {
		uint64_t every_ns = job->plan.batch * POSE_NS_PER_S / plan->rate;

		job->due = job->plan.batch;
		vd_job_timer(job, every_ns ? every_ns : 1, every_ns ? every_ns : 1);
	} else {
		job->due = UINT64_MAX;
		vd_job_timer(job, plan->ms * POSE_NS_PER_MS, 0);
	}
	vd_job_run(job, pair);
	return 0;
}

void vd_job_tick(struct vd_job *job, struct vd_pair *pair)
{
	uint64_t n;

	if (read(job->tick_fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (job->due != UINT64_MAX)
		job->due += n * job->plan.batch;
	vd_job_run(job, pair);
}

void vd_job_run(struct vd_job *job, struct vd_pair *pair)
{
	uint64_t until;

	if (!job->active)
		return;
	if (job->end_ns && pose_now_ns() >= job->end_ns)
		job->plan.count = job->posted;
	until = job->due < job->plan.count ? job->due : job->plan.count;
	while (job->posted < until) {
		uint64_t left = until - job->posted;
		unsigned int want = left < job->plan.batch ? (unsigned int)left : job->plan.batch;
		unsigned int done = vd_pair_tx_post(pair, want, job->plan.bytes, job->plan.eth,
						    job->plan.stamp ? &job->seq : NULL);

		job->posted += done;
		if (done < want)
			break;
	}
	if (job->posted == job->plan.count && !vd_ring_outstanding(&pair->q[VD_TX].ring)) {
		job->active = false;
		job->done_ns = pose_now_ns();
		vd_job_timer(job, 0, 0);
	}
}

void vd_job_stop(struct vd_job *job, struct vd_pair *pair)
{
	job->plan.count = job->posted;
	vd_job_run(job, pair);
}

uint64_t vd_job_used(const struct vd_job *job, const struct vd_pair *pair)
{
	return pair->q[VD_TX].counts.used - job->before.used;
}
