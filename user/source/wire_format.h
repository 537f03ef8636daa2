/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_format.h - how a sample lies in the memory that two processes share.
 * For source/wire.c, wire_read.c and wire_check.c only.
 *
 *   header
 *   records of each kind, in the order of enum vs_wire_array
 *   struct vs_self_sample
 *   struct vs_kvm_names, if has_kvm_names
 *   struct vs_disk_info [infos_n]
 *   texts, each with its NUL [texts_n]
 *
 * Each begins at a multiple of 8. Where a record has a pointer it holds the
 * number of a text or a description, from 1.
 *
 * Layer:   source
 * State:   none
 * Threads: any
 */
#pragma once
#include "model/deep.h"
#include "model/sample.h"

#include <string.h>

#define VS_WIRE_MAGIC	   0x31657269777376ull /* "vswire1" */
#define VS_WIRE_DEEP_MAGIC 0x31706565647376ull /* "vsdeep1" */

enum vs_wire_array {
	VS_WIRE_VMS,
	VS_WIRE_VNICS,
	VS_WIRE_DROPS,
	VS_WIRE_DISKS,
	VS_WIRE_VIRTQS,
	VS_WIRE_THREADS,
	VS_WIRE_KVM,
	VS_WIRE_ARRAY__N,
	/* sizes only: there is one of them, or as many as the header says */
	VS_WIRE_SELF = VS_WIRE_ARRAY__N,
	VS_WIRE_KVM_NAMES,
	VS_WIRE_INFO,
	VS_WIRE_SIZE__N,
};

struct vs_wire_header {
	uint64_t magic, len;
	uint64_t mono_ns, wall_ns, threads_ns;
	uint64_t n[VS_WIRE_ARRAY__N];
	uint32_t each[VS_WIRE_SIZE__N];
	uint32_t infos_n, texts_n;
	uint64_t texts_len;
	uint32_t has_kvm_names, flush_blind, synthetic, pad;
};

struct vs_wire_deep {
	uint64_t magic, len, mono_ns, threads_n, ran_n;
	uint32_t thread_size, ran_size, program_size, programs_n;
};

static inline void vs_wire_sizes(uint32_t ret[VS_WIRE_SIZE__N])
{
	ret[VS_WIRE_VMS] = sizeof(struct vs_vm_sample);
	ret[VS_WIRE_VNICS] = sizeof(struct vs_vnic_sample);
	ret[VS_WIRE_DROPS] = sizeof(struct vs_drop_sample);
	ret[VS_WIRE_DISKS] = sizeof(struct vs_disk_sample);
	ret[VS_WIRE_VIRTQS] = sizeof(struct vs_virtq_sample);
	ret[VS_WIRE_THREADS] = sizeof(struct vs_thread_sample);
	ret[VS_WIRE_KVM] = sizeof(struct vs_kvm_sample);
	ret[VS_WIRE_SELF] = sizeof(struct vs_self_sample);
	ret[VS_WIRE_KVM_NAMES] = sizeof(struct vs_kvm_names);
	ret[VS_WIRE_INFO] = sizeof(struct vs_disk_info);
}

/* A bool that another process wrote may be anything; to read it as one is
 * undefined unless it is 0 or 1. */
static inline bool vs_wire_is_bool(const bool *b)
{
	uint8_t byte;

	memcpy(&byte, b, 1);
	return byte <= 1;
}

#define VS_WIRE_CUT(text) ((text)[sizeof(text) - 1] = '\0')

void vs_wire_cut_program(struct vs_program_sample *p);

/* What numbers in records stand for: number - 1 is the index. */
struct vs_wire_refs {
	const char *const *texts;
	const struct vs_disk_info *const *infos;
	uint32_t texts_n, infos_n;
};

/* Checks records that were copied, puts pointers in place of numbers, cuts
 * texts. Return: 0 or -EBADMSG, with pointers that must not be followed. */
int vs_wire_check(struct vs_sample *s, const struct vs_wire_refs *refs);
