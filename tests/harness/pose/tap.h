/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap - opens tap devices the way a VMM does, in the own network namespace
 *
 * Threads: any. State: none.
 */
#ifndef POSE_TAP_H
#define POSE_TAP_H

#include <net/if.h>

#define POSE_TAP_QUEUE__N	8

enum pose_tap_flags {
	POSE_TAP_VNET_HDR = 1,	/* a struct virtio_net_hdr in front of each frame */
	POSE_TAP_PERSIST = 2,
	POSE_TAP_DOWN = 4,	/* leave the link as it is; else it is set up */
};

struct pose_tap {
	char name[IFNAMSIZ];
	int fd[POSE_TAP_QUEUE__N];
	int queues;	/* 0 = closed */
	int flags;
};

/*
 * Opens @queues descriptors of tap @name, non-blocking; multi-queue if there is
 * more than one. Returns 0 or -errno, and then holds none.
 */
int pose_tap_open(struct pose_tap *tap, const char *name, int queues, int flags);
void pose_tap_close(struct pose_tap *tap);

#endif
