// SPDX-License-Identifier: GPL-2.0-or-later
#include "vhost/pick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool vd_pick(struct vd_pick *pick, const struct pose_args *args, bool first)
{
	struct vd_nic *nic = vd_nic_at(0);
	const char *tap = pose_arg(args, "tap", first && nic ? nic->tap.name : "all");
	const char *queue = pose_arg(args, "queue", first ? "0" : "all");

	pick->n = 0;
	for (int i = 0; (nic = vd_nic_at(i)); i++)
		for (int k = 0; k < nic->lanes; k++) {
			if (strcmp(tap, "all") && strcmp(tap, nic->tap.name))
				continue;
			if (strcmp(queue, "all") && strtoull(queue, NULL, 0) != (uint64_t)k)
				continue;
			pick->lane[pick->n] = nic->lane[k];
			pick->tap[pick->n] = nic->tap.name;
			pick->queue[pick->n++] = k;
		}
	if (!pick->n)
		pose_reply_error("no such tap or queue", ENODEV);
	return pick->n > 0;
}
