/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loader.h - put a plan into the kernel: open, load, attach; and take it out.
 *
 * Nothing is pinned: when the process ends, however it ends, the kernel takes
 * programs, maps and links away.
 *
 * Layer:   probe
 * State:   struct vs_loader: objects, links, descriptors of the maps
 * Threads: one
 */
#pragma once
#include "model/sample.h"
#include "probe/plan.h"

struct vs_loader;

/* Descriptors of maps by name; -1 where the object is not loaded. Borrowed. */
struct vs_maps {
	int lost, events, task;				  /* shared */
	int vnic_id, vnic, dev, drop, burst, iif;	  /* tap */
	int cgroup, disk, rq_spill;			  /* block */
	int files_iter;					  /* link of the iterator */
	struct vs_vnic *vnics;				  /* vnic, mapped; or NULL */
};

/**
 * vs_loader_new() - load and attach what @plan says.
 * @plan: probes that fail are marked so, with the reason; typed programs that
 *        the kernel refuses are tried in their raw form first
 * @sample_shift: log2 of N for 1 in N, or 255 to adapt
 *
 * Return: 0 (also when every probe failed), or -ENOMEM and the like. Logs: yes.
 */
int vs_loader_new(const struct vs_kcaps *caps, struct vs_plan *plan, uint8_t sample_shift,
		  struct vs_loader **ret);
void vs_loader_free(struct vs_loader **loader);

const struct vs_maps *vs_loader_maps(const struct vs_loader *loader);

/* The driver of taps may be loaded after us: then who holds which tap can be read
 * in one pass from now on. Return: true if that has just become so. Logs: yes. */
bool vs_loader_retry_files(struct vs_loader *loader, struct vs_kcaps *caps, unsigned int denied,
			   struct vs_plan *plan);

/* For objects that come and go (probe/vhost.h). */
struct bpf_object;
struct bpf_link;
struct vs_attached {
	struct bpf_link *link;
	int prog_fd;
	char name[32], hook[48];
};
/* Between open and load: gives @obj the shared maps, turns on @probe's programs. */
int vs_loader_prepare(const struct vs_loader *loader, struct bpf_object *obj,
		      const struct vs_plan_probe *probe);
int vs_attach(struct bpf_object *obj, const char *program, struct vs_attached *ret);
/* What the kernel says of each. Return: how many were written to @ret. */
uint32_t vs_attached_programs(const struct vs_attached *attached, uint32_t count,
			      struct vs_program_sample *ret, uint32_t size);

/* Gives @obj, not yet loaded, the maps that all objects share: for those that
 * other files here load. Return: 0 or -errno. */
int vs_maps_share(const struct vs_maps *maps, struct bpf_object *obj);

/* Makes the programs look devices up anew: call after vnic_id changed. */
void vs_loader_bump_epoch(struct vs_loader *loader);
/* How many cgroups name a VM; 0 spares the look-up. */
void vs_loader_set_cgroups(struct vs_loader *loader, uint32_t n);

/* Run time and misses of each attached program. */
uint32_t vs_loader_programs(const struct vs_loader *loader, struct vs_program_sample *ret,
			    uint32_t size);
