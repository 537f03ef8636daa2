/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * collect.h - read maps and links into a sample.
 *
 * Layer:   source
 * State:   struct vs_collect: names resolved so far, disks seen so far
 * Threads: one
 */
#pragma once
#include "model/sample.h"
#include "probe/kcaps.h"
#include "probe/plan.h"
#include "probe/vhost.h"
#include "source/inventory.h"

struct vs_collect;

int vs_collect_new(struct vs_inventory *inv, struct vs_kcaps *caps, const struct vs_plan *plan,
		   const struct vs_vhost_probe *vhost, struct vs_collect **ret);
/* Modules came or went: their functions are named anew. */
void vs_collect_modules_changed(struct vs_collect *c);
void vs_collect_free(struct vs_collect **c);

/* Room to read virtqueues in few calls, made on first use. */
#define VS_VIRTQ_BATCH 64
struct vs_virtq_batch {
	struct vs_virtq_key *keys;
	struct vs_virtq *rows;
	uint64_t looked_ns;  /* when what is stale was last looked for */
	uint64_t wakes_aged; /* wake-ups given up */
};
void vs_virtq_batch_done(struct vs_virtq_batch *b);

/* Virtqueues and their workers, into @ret; rows of what is gone are deleted.
 * Return: 0 or -ENOMEM. Logs: yes. */
int vs_collect_vhost(const struct vs_inventory *inv, const struct vs_vhost_probe *vhost,
		     struct vs_virtq_batch *batch, struct vs_sample *ret);

/* What is kept for the figures of our own cost. */
struct vs_self_reader {
	uint64_t *per_cpu; /* room for a counter of each CPU, made on first use */
	int cpus;
	struct vs_map_sample maps[VS_MAP__N];
	uint32_t maps_n;
	uint64_t maps_ns; /* when they were read */
	int virtq;	  /* the map there was then: vhost's come and go */
};
void vs_self_reader_done(struct vs_self_reader *reader);

/* Cost, losses and maps, into @ret->self; to be called when the rest is there. */
void vs_self_read(const struct vs_inventory *inv, const struct vs_plan *plan,
		     const struct vs_vhost_probe *vhost, struct vs_self_reader *reader, struct vs_sample *ret);

typedef void (*vs_disk_seen_fn)(void *data, const struct vs_vm_entry *vm,
				const struct vs_disk_info *disk);

/**
 * vs_collect_fill() - one look at everything.
 * @seen: told of each (VM, disk) that was not in an earlier sample; may be NULL
 *
 * Rows of VMs that are gone are deleted from the maps on the way.
 * Return: 0, 1 if some link could not be read, or -ENOMEM.
 */
int vs_collect_fill(struct vs_collect *c, struct vs_sample *ret, vs_disk_seen_fn seen, void *data);
