/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * live.h - the running kernel as a source of samples and of rare events.
 *
 * Layer:   source
 * State:   struct vs_live: probe, inventory, timers
 * Threads: one; callbacks run inside the loop
 */
#pragma once
#include "base/loop.h"
#include "model/deep.h"
#include "model/sample.h"
#include "probe/plan.h"
#include "source/domains.h"
#include "source/inventory.h"
#include "source/source.h"

struct vs_live;

struct vs_live_options {
	unsigned int denied;	/* bits 1 << VS_HOOK_* */
	uint8_t sample_shift;	/* log2 of N; 255: adapt to the rate */
	const char *libvirt;	/* URI, "none", or NULL for the default */
	const struct vs_label_rules *labels; /* from libvirt's metadata; NULL: the default. Borrowed */
	uint32_t forced_n;	/* processes to be taken for VMs */
	struct {
		const char *name;
		uint32_t pid;
	} forced[64];
};

/* All may be NULL. Entries are borrowed for the call. */
struct vs_live_ops {
	vs_change_fn changed;
	/* the first request of a VM to a disk was seen (during a sample) */
	void (*disk_seen)(void *data, const struct vs_vm_entry *vm, const struct vs_disk_info *disk);
	/* VS_BURST__N losses within a second; @raw_reason as in vs_drop_sample */
	void (*burst)(void *data, uint64_t vnic_uid, uint32_t raw_reason);
	vs_news_fn news; /* of libvirt */
	/* a probe that became needed is not what was wished for */
	void (*degraded)(void *data, const struct vs_plan_probe *probe);
	void *data;
};

/**
 * vs_live_new() - find out, decide, load, attach, and look for VMs once.
 *
 * VMs found at once are told of through ops->changed before it returns.
 * Return: 0 or -errno. Logs: yes.
 */
int vs_live_new(struct vs_loop *loop, const struct vs_live_options *options,
		const struct vs_live_ops *ops, struct vs_live **ret);
void vs_live_free(struct vs_live **live);

const struct vs_plan *vs_live_plan(const struct vs_live *live);
const struct vs_libvirt *vs_live_libvirt(const struct vs_live *live);
/* Borrowed; NULL if there is no such VM any more. */
const struct vs_vm_entry *vs_live_vm(const struct vs_live *live, uint64_t uid);

/*
 * Between these two, figures of VMs that end are kept and stand in every sample,
 * so that a report over that time has them. Calls nest.
 */
void vs_live_window_open(struct vs_live *live);
void vs_live_window_close(struct vs_live *live);

/* Fills @ret with a sorted sample. Return: 0 or -ENOMEM. Logs: yes. */
int vs_live_sample(struct vs_live *live, enum vs_look look, struct vs_sample *ret);

/**
 * vs_live_deep_open() - begin, or join, a deep window over the threads of @s.
 * @ret: a first reading
 *
 * Return: 0, or -errno with nothing to close. Logs: yes.
 */
int vs_live_deep_open(struct vs_live *live, const struct vs_sample *s, struct vs_deep_sample *ret);
/* The last reading of a window. Return: 0 or -ENOMEM. */
int vs_live_deep_read(struct vs_live *live, struct vs_deep_sample *ret);
/* The last one out takes the programs out of the kernel. */
void vs_live_deep_close(struct vs_live *live);
