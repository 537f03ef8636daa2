/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * series.h - from one sample to the next: what each VM's series are worth.
 *
 *   residence     of a vNIC (rx): mean time in the ring
 *   disk_latency  of a disk, read and write apart: mean time of a request in all
 *   drop_ratio    of a vNIC, rx and tx apart: losses / (packets + losses)
 *   throughput    of a vNIC, rx and tx apart, and of a disk, read and write apart
 *
 * Means, not high percentiles: with the 16 samples that a value may rest on the
 * 99th percentile is their maximum; every sample enters a mean, and a tail that
 * is felt moves it (by Little's law, mean times rate is what waits).
 *
 * A value covers the seconds and counts that its kind wants at least (struct
 * vs_form); too few within VS_SERIES_PATIENCE_NS: there is none, which is not 0.
 * The first look at something, and the first after a gap, is no value either.
 *
 * Layer:   detect
 * State:   struct vs_series_set
 * Threads: one. Time comes with the sample. Allocates for what is new only.
 */
#pragma once
#include "detect/detect.h"
#include "model/sample.h"

#define VS_SERIES_PATIENCE_NS (10 * 1000000000ull)
/* Samples that lie further apart say nothing of a second; counting starts anew. */
#define VS_SERIES_GAP_NS (10 * 1000000000ull)

struct vs_series {
	enum vs_series_kind kind;
	uint8_t way; /* VS_DIR_* of a vNIC, VS_OP_* of a disk */
	double sum;  /* of the value under way */
	uint64_t n, over_ns;
	/* Followed by state_size bytes of who takes the values. */
	_Alignas(8) unsigned char state[];
};

/* What a series is of, for as long as a callback runs. */
struct vs_series_of {
	uint64_t vm_uid;
	const char *vnic, *disk; /* one of them is NULL */
};

struct vs_series_ops {
	size_t state_size; /* zeroed at first */
	void (*begin)(void *data, struct vs_series *s);
	void (*value)(void *data, struct vs_series *s, const struct vs_series_of *of, double value);
	/* There was no value for a while; again after each such while. */
	void (*absent)(void *data, struct vs_series *s, const struct vs_series_of *of);
	/* It is gone; not called by _free(). */
	void (*end)(void *data, struct vs_series *s, const struct vs_series_of *of);
	void *data;
};

struct vs_series_set;

/* Return: 0 or -ENOMEM. */
int vs_series_new(const struct vs_series_ops *ops, struct vs_series_set **ret);
void vs_series_free(struct vs_series_set **set);

/**
 * vs_series_tick() - one more sample, sorted.
 *
 * VMs whose start was not told yet have no series, paused ones no values.
 */
void vs_series_tick(struct vs_series_set *set, const struct vs_sample *sample);

/* Series that exist, and the memory that they take. */
size_t vs_series_count(const struct vs_series_set *set, size_t *ret_bytes);
