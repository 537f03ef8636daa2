/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost.h - the probe of vhost workers, attached only while a VM uses vhost-net.
 *
 * Attached programs hold a reference on the module, so the last VM's end is
 * followed by a detach after VS_VHOST_KEEP_NS: the module can be unloaded then.
 *
 * Layer:   probe
 * State:   struct vs_vhost_probe: object and links while attached
 * Threads: one
 */
#pragma once
#include "model/sample.h"
#include "probe/loader.h"

#define VS_VHOST_KEEP_NS (60ull * 1000000000ull)

struct vs_vhost_probe;

/* Descriptors of its maps, -1 while detached. Borrowed until the next update. */
struct vs_vhost_maps {
	int virtq, worker, wake;
};

/**
 * vs_vhost_probe_new() - nothing is attached yet.
 * @caps, @loader: must outlive it; the loader lends the shared maps
 * @row: where to say what became of it; outlives it
 */
int vs_vhost_probe_new(const struct vs_kcaps *caps, unsigned int denied,
		       const struct vs_loader *loader, struct vs_plan_probe *row,
		       struct vs_vhost_probe **ret);
void vs_vhost_probe_free(struct vs_vhost_probe **probe);

/**
 * vs_vhost_probe_update() - attach or detach as @in_use asks.
 *
 * Return: ns after which to call again although nothing changed (a detach is
 * due), 0: not needed. Logs: yes.
 */
uint64_t vs_vhost_probe_update(struct vs_vhost_probe *probe, bool in_use, uint64_t now_ns);

/* Modules came or went: what failed before may work now. */
void vs_vhost_probe_modules_changed(struct vs_vhost_probe *probe);

const struct vs_vhost_maps *vs_vhost_probe_maps(const struct vs_vhost_probe *probe);

/* Run time and misses of each attached program. */
uint32_t vs_vhost_probe_programs(const struct vs_vhost_probe *probe, struct vs_program_sample *ret,
				 uint32_t size);
