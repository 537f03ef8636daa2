/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_types.h - what vhost.bpf.c reads of the vhost modules' structures.
 *
 * The modules are seldom built into the kernel, so its type header may lack
 * them: these name the members only, and where they lie is found in the
 * running module's own type information when the programs are loaded.
 */
#pragma once
#include "vmlinux.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct vhost_work {
	unsigned long flags;
};

struct vhost_poll {
	wait_queue_entry_t wait;
	struct vhost_work work;
	__poll_t mask;
};

struct vhost_vring_call {
	struct eventfd_ctx *ctx;
};

struct vhost_virtqueue {
	struct vhost_vring_call call_ctx;
	struct vhost_poll poll;
	__u16 last_used_idx;
	__u16 used_flags;
	void *private_data;
};

struct vhost_net_virtqueue {
	struct vhost_virtqueue vq;
};

struct vhost_net {
	struct vhost_net_virtqueue vqs[2];
	struct vhost_poll poll[2];
};

#pragma clang attribute pop

#define VHOST_WORK_QUEUED_BIT (1ul << 1)
#define VRING_USED_F_NO_NOTIFY 1
