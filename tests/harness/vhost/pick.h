/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pick - which queue pairs a command is about
 *
 * Threads: one. State: none.
 */
#ifndef VHOST_PICK_H
#define VHOST_PICK_H

#include "vhost/nic.h"

#define VD_PICK__N	(VD_NIC__N * POSE_TAP_QUEUE__N)

struct vd_pick {
	struct vd_lane *lane[VD_PICK__N];
	const char *tap[VD_PICK__N];
	int queue[VD_PICK__N];
	int n;
};

/*
 * tap= and queue= choose, "all" means each. Absent they mean each or, with @first,
 * the first. False, with a reply, if there is none.
 */
bool vd_pick(struct vd_pick *pick, const struct pose_args *args, bool first);

#endif
