/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * synthetic_vm.h - one synthetic VM at one moment, into a sample.
 *
 * Layer:   source
 * State:   none
 * Threads: any
 */
#pragma once
#include "source/synthetic.h"

/* A life of a VM: what the first functions below decide from. */
struct vs_synthetic_life {
	uint64_t seed;
	uint32_t index;
	uint64_t key;	       /* of this life, unique */
	double age_s;	       /* at the moment asked for, or at its end */
	double odd_from_s[VS_ODD__N]; /* ages; from = to: never */
	double odd_to_s[VS_ODD__N];
	bool ended;
	const struct vs_disk_info *own, *host; /* a disk of its own; what lies below all */
};

/* The life of VM @index at @mono_ns, or the one before it. Return: whether it is there. */
bool vs_synthetic_present(const struct vs_synthetic *synthetic, uint32_t index, uint64_t mono_ns,
			  struct vs_synthetic_life *ret);
uint32_t vs_synthetic_vms(const struct vs_synthetic *synthetic);

enum vs_synthetic_kind vs_synthetic_kind_of(uint64_t seed, uint32_t index);
uint32_t vs_synthetic_vnics(const struct vs_synthetic_life *life);

static inline uint64_t vs_synthetic_vm_uid(uint64_t key)
{
	return 1 + key * 4;
}
/* @vnic: 0 or 1 */
static inline uint64_t vs_synthetic_vnic_uid(uint64_t key, uint32_t vnic)
{
	return vs_synthetic_vm_uid(key) + 1 + vnic;
}

/* A number that depends on the arguments alone and on each of their bits. */
uint64_t vs_synthetic_hash(uint64_t seed, uint64_t a, uint64_t b);

/* Name, uuid and pid, as in events. */
void vs_synthetic_fill_vm(const struct vs_synthetic_life *life, struct vs_vm_sample *ret);

/* The VM and all that belongs to it; KVM's statistics if ret->kvm_names is set.
 * Return: 0 or -ENOMEM. */
int vs_synthetic_add(const struct vs_synthetic_life *life, struct vs_sample *ret);

/* What is the host's own: disk requests and drops of nobody. */
int vs_synthetic_add_host(uint64_t seed, double age_s, const struct vs_disk_info *host,
			  struct vs_sample *ret);

#define VS_SYNTHETIC_FULL_RING 80 /* raw reason of what the rings refuse */
