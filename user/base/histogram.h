/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * histogram.h - reading the log-linear histograms of bpf/abi.h.
 *
 * Layer:   base
 * State:   none
 * Threads: any
 */
#pragma once
#include "abi.h"

#include <stdint.h>

/* Edges of bucket @i in ns: [lower, upper). The first begins at 0; the last
 * has no upper edge, its lower one is returned for both. */
uint64_t vs_hist_lower_ns(uint32_t i);
uint64_t vs_hist_upper_ns(uint32_t i);

/* ret = newer - older, bucket by bucket modulo 2^32. @older may be NULL, and
 * @ret may be @newer. */
void vs_hist_diff(const struct vs_hist *newer, const struct vs_hist *older, struct vs_hist *ret);

uint64_t vs_hist_count(const struct vs_hist *h);

/**
 * vs_hist_percentile_ns() - the value below which a share of the counts lies.
 * @q: 0 to 1
 *
 * Nearest rank, then linear interpolation inside the bucket: the true value
 * lies in the same bucket, so the error is at most its width (12.5 %).
 * Return: ns, 0 for an empty histogram.
 */
double vs_hist_percentile_ns(const struct vs_hist *h, double q);

/* Upper edge of the highest bucket in use, 0 if empty: the maximum to within
 * one step. */
uint64_t vs_hist_max_ns(const struct vs_hist *h);
