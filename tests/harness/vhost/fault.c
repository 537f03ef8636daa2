// SPDX-License-Identifier: GPL-2.0-or-later
#include "vhost/fault.h"

#include "vhost/pick.h"

#include <errno.h>
#include <string.h>

#define VD_STALL_MAX_MS	60000

/* which=rx|tx, absent = both. */
static bool vd_which(const struct pose_args *args, int queue)
{
	const char *which = pose_arg(args, "which", "both");

	return !strcmp(which, "both") || !strcmp(which, queue == VD_RX ? "rx" : "tx");
}

/* "on" or "off" as a word; -1, with a reply, for anything else. */
static int vd_switch(const struct pose_args *args)
{
	if (args->word && !strcmp(args->word, "on"))
		return 1;
	if (args->word && !strcmp(args->word, "off"))
		return 0;
	pose_reply_error("say on or off", EINVAL);
	return -1;
}

void vd_cmd_post(const struct pose_args *args)
{
	struct vd_pick pick;
	int on = vd_switch(args);

	if (on < 0 || !vd_pick(&pick, args, false))
		return;
	for (int i = 0; i < pick.n; i++) {
		struct vd_pair *pair = &pick.lane[i]->pair;

		pair->q[VD_RX].post_limit = on ? (unsigned int)pose_arg_u64(args, "limit", pair->cfg.ring) : 0;
		vd_pair_rx_refill(pair);
	}
	pose_reply_ok();
}

void vd_cmd_kick(const struct pose_args *args)
{
	bool now = args->word && !strcmp(args->word, "now");
	struct vd_pick pick;
	int on = now ? 1 : vd_switch(args);

	if (on < 0 || !vd_pick(&pick, args, false))
		return;
	for (int i = 0; i < pick.n; i++)
		for (int k = 0; k < VD_QUEUE__N; k++) {
			struct vd_queue *q = &pick.lane[i]->pair.q[k];

			if (!vd_which(args, k))
				continue;
			if (now)
				vd_queue_kick(q);
			else if (on)
				vd_queue_kick_resume(q);
			else
				q->kick_off = true;
		}
	pose_reply_ok();
}

void vd_cmd_notify(const struct pose_args *args)
{
	uint64_t look_us = pose_arg_u64(args, "look_us", 1000);
	struct vd_pick pick;
	int on = vd_switch(args);

	if (on < 0 || !vd_pick(&pick, args, false))
		return;
	for (int i = 0; i < pick.n; i++) {
		struct vd_lane *lane = pick.lane[i];
		bool off = false;

		for (int k = 0; k < VD_QUEUE__N; k++) {
			struct vd_queue *q = &lane->pair.q[k];

			if (vd_which(args, k)) {
				q->notify_off = !on;
				lane->more[k] = on && vd_ring_signals_ask(&q->ring, 0);
				if (!on)
					vd_ring_signals_refuse(&q->ring);
			}
			off |= q->notify_off;
		}
		vd_lane_look_every(lane, off ? look_us : 0);
	}
	pose_reply_ok();
}

/* As if no vCPU ran: nothing is looked at, on any queue. */
void vd_cmd_stall(const struct pose_args *args)
{
	uint64_t ms = pose_arg_u64(args, "ms", 300);

	pose_sleep_ms(ms < VD_STALL_MAX_MS ? ms : VD_STALL_MAX_MS);
	pose_reply_ok();
}
