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
#include "source/inventory.h"

struct vs_collect;

int vs_collect_new(struct vs_inventory *inv, struct vs_kcaps *caps, const struct vs_plan *plan,
		   struct vs_collect **ret);
void vs_collect_free(struct vs_collect **c);

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
