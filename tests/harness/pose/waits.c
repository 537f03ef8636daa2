// SPDX-License-Identifier: GPL-2.0-or-later
#include "pose/waits.h"

#include "pose/pose.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSE_WAITS_MAX	(4u << 20)	/* 32 MiB; later waits are counted, not kept */

static uint64_t *waits_ns;
static size_t kept, cap;
static uint64_t stamped;

int pose_waits_note(const unsigned char *frame, size_t len)
{
	struct pose_stamp stamp;

	if (len < POSE_ETH_BYTES + sizeof(stamp))
		return 0;
	memcpy(&stamp, frame + POSE_ETH_BYTES, sizeof(stamp));
	if (stamp.magic != POSE_STAMP_MAGIC)
		return 0;
	if (kept == cap && cap < POSE_WAITS_MAX) {
		size_t more = cap ? cap * 2 : 65536;
		uint64_t *p = realloc(waits_ns, more * sizeof(*p));

		if (!p)
			return -ENOMEM;
		waits_ns = p;
		cap = more;
	}
	stamped++;
	if (kept < cap)
		waits_ns[kept++] = pose_now_ns() - stamp.sent_ns;
	return 0;
}

static int pose_cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Nearest rank. */
static double pose_rank_us(double p)
{
	size_t i = (size_t)(p * (double)kept);

	if (!kept)
		return 0;
	return (double)waits_ns[i < kept ? i : kept - 1] / 1000.0;
}

void pose_waits_report(void)
{
	if (kept)
		qsort(waits_ns, kept, sizeof(*waits_ns), pose_cmp_u64);
	printf("\"stamped\":%" PRIu64 ",\"wait_us\":{\"min\":%.1f,\"p50\":%.1f,\"p90\":%.1f,"
	       "\"p95\":%.1f,\"p99\":%.1f,\"max\":%.1f}",
	       stamped, pose_rank_us(0), pose_rank_us(0.5), pose_rank_us(0.9), pose_rank_us(0.95),
	       pose_rank_us(0.99), pose_rank_us(1));
	kept = 0;
	stamped = 0;
}
