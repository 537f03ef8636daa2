/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tidy.c - what released slots leave behind in the maps is deleted in time. */
#include "source/inventory.h"

#include <bpf/bpf.h>

#define LOOK_NS (60ull * 1000000000ull)

/* Devices of nobody, and of vNICs that are gone. What is still in use is
 * learned anew at its next packet. */
static void tidy_devices(struct vs_inventory *inv, const struct vs_maps *m)
{
	uint64_t key = 0, next = 0;
	struct vs_dev dev;
	bool first = true;

	/* A key that was deleted restarts the walk, so step before deleting. */
	for (uint32_t i = 0; i < VS_DEV__N && !bpf_map_get_next_key(m->dev, first ? NULL : &key, &next);
	     i++) {
		bool stale = !first && !bpf_map_lookup_elem(m->dev, &key, &dev) &&
			     (dev.vnic == VS_NONE || !inv->vnic_by_slot[dev.vnic]);

		if (stale)
			(void)bpf_map_delete_elem(m->dev, &key);
		key = next;
		first = false;
	}
	if (!first && !bpf_map_lookup_elem(m->dev, &key, &dev) &&
	    (dev.vnic == VS_NONE || !inv->vnic_by_slot[dev.vnic]))
		(void)bpf_map_delete_elem(m->dev, &key);
	vs_loader_bump_epoch(inv->loader);
}

static bool burst_is_stale(const struct vs_inventory *inv, const struct vs_burst_key *k)
{
	const struct vs_vnic_entry *vnic = inv->vnic_by_slot[k->vnic % VS_VNIC__N];

	return !vnic || vnic->gen != k->gen;
}

static void tidy_bursts(struct vs_inventory *inv, const struct vs_maps *m)
{
	struct vs_burst_key key, next;
	bool first = true;

	for (uint32_t i = 0;
	     i < VS_DROP__N && !bpf_map_get_next_key(m->burst, first ? NULL : &key, &next); i++) {
		if (!first && burst_is_stale(inv, &key))
			(void)bpf_map_delete_elem(m->burst, &key);
		key = next;
		first = false;
	}
	if (!first && burst_is_stale(inv, &key))
		(void)bpf_map_delete_elem(m->burst, &key);
}

static bool rq_is_stale(int map, uint64_t key, uint64_t now_ns)
{
	struct vs_rq rq;

	return !bpf_map_lookup_elem(map, &key, &rq) &&
	       (int64_t)(now_ns - rq.start_ns) > (int64_t)VS_RQ_AGE_NS;
}

/* @map's keys are no longer than a burst's. */
static uint64_t count_keys(int map, uint64_t limit)
{
	struct vs_burst_key key, next;
	uint64_t n = 0;

	while (map >= 0 && n < limit && !bpf_map_get_next_key(map, n ? &key : NULL, &next)) {
		key = next;
		n++;
	}
	return n;
}

static void age_requests(struct vs_inventory *inv, int map, uint64_t now_ns)
{
	uint64_t key = 0, next = 0;
	bool first = true, more = true;

	for (uint32_t i = 0; more && i <= VS_RQ_SPILL__N; i++) {
		more = !bpf_map_get_next_key(map, first ? NULL : &key, &next);
		if (!first && rq_is_stale(map, key, now_ns) && !bpf_map_delete_elem(map, &key))
			inv->rq_aged++;
		else
			inv->rq_spilled += !first;
		key = next;
		first = false;
	}
}

void vs_inventory_tidy(struct vs_inventory *inv, uint64_t now_ns)
{
	const struct vs_maps *m = vs_loader_maps(inv->loader);

	if (now_ns - inv->aged_ns >= LOOK_NS) {
		inv->aged_ns = now_ns;
		inv->rq_spilled = 0;
		if (m->rq_spill >= 0)
			age_requests(inv, m->rq_spill, now_ns);
		inv->devices = count_keys(m->dev, VS_DEV__N);
		inv->bursts = count_keys(m->burst, VS_DROP__N);
	}
	if (!inv->dirty_ns || now_ns - inv->dirty_ns < VS_SLOT_REST_NS || m->dev < 0)
		return;
	inv->dirty_ns = 0;
	tidy_devices(inv, m);
	tidy_bursts(inv, m);
}
