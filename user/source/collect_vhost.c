/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collect_vhost.c - virtqueues and their workers, into a sample. */
#include "source/collect.h"

#include "base/log.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct vs_vnic_entry *vnic_of(const struct vs_vm_entry *vm, const struct vs_virtq *q)
{
	const struct vs_vnic_entry *n = vm->vnics;

	while (n && (n->id.ifindex != q->ifindex || n->id.netns_cookie != q->netns_cookie))
		n = n->next;
	return n;
}

/* A worker that has ended leaves a row behind while its VM lives on. */
static bool worker_is_gone(uint32_t tid)
{
	return kill((pid_t)tid, 0) && errno == ESRCH;
}

/* Return: 0, 1 if the row is of something that is gone, -ENOMEM. */
static int add_row(const struct vs_inventory *inv, int workers, const struct vs_virtq_key *key,
		   const struct vs_virtq *row, struct vs_sample *s)
{
	struct vs_worker worker;
	const struct vs_vm_entry *vm = row->vm < VS_VM__N ? inv->vm_by_slot[row->vm] : NULL;
	const struct vs_vnic_entry *vnic;
	bool gone = worker_is_gone(key->tid);
	struct vs_virtq_sample *v;

	if (!vm || vm->gen != row->gen)
		return row->vm || gone;
	vnic = vnic_of(vm, row);
	if (gone && !vnic)
		return 1;
	v = vs_sample_add_virtq(s);
	if (!v)
		return -ENOMEM;
	v->key = *key;
	v->row = *row;
	v->vm_uid = vm->uid;
	v->vnic_uid = vnic ? vnic->uid : 0;
	v->ended = gone;
	if (key->vq && !bpf_map_lookup_elem(workers, &key->tid, &worker))
		v->worker_delay_ns = worker.delay_end_ns - worker.delay_first_ns;
	/* still waiting: up to now */
	if (!gone && row->starved_at_ns && s->mono_ns > row->starved_at_ns)
		v->row.starved_ns += s->mono_ns - row->starved_at_ns;
	return 0;
}

static int read_rows(const struct vs_inventory *inv, int map, int workers, struct vs_virtq_batch *b,
		     struct vs_sample *ret)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint64_t position = 0; /* the kernel's own */
	bool first = true;
	int r = 0;

	while (!r) {
		uint32_t count = VS_VIRTQ_BATCH;

		r = bpf_map_lookup_batch(map, first ? NULL : &position, &position, b->keys, b->rows,
					 &count, &opts);
		if (r && errno != ENOENT) {
			vs_warn("read the map of virtqueues: %s; figures of vhost are incomplete, ignoring",
				strerror(errno));
			return 0;
		}
		first = false;
		for (uint32_t i = 0; i < count; i++) {
			int gone = add_row(inv, workers, &b->keys[i], &b->rows[i], ret);

			if (gone < 0)
				return gone;
			if (gone)
				(void)bpf_map_delete_elem(map, &b->keys[i]);
		}
	}
	return 0;
}

static bool wake_is_stale(int map, uint64_t work, uint64_t now_ns)
{
	struct vs_wake w;

	return !bpf_map_lookup_elem(map, &work, &w) && w.at_ns &&
	       (int64_t)(now_ns - w.at_ns) > (int64_t)VS_WAKE_AGE_NS;
}

/* Wake-ups that no handler of ours followed: of other kinds of vhost devices, or
 * of a device that was closed meanwhile. */
static uint64_t age_wakes(int map, uint64_t now_ns)
{
	uint64_t key = 0, next = 0, aged = 0;
	bool first = true, more = true;

	for (uint32_t i = 0; more && i <= VS_WAKE__N; i++) {
		more = !bpf_map_get_next_key(map, first ? NULL : &key, &next);
		if (!first && wake_is_stale(map, key, now_ns) && !bpf_map_delete_elem(map, &key))
			aged++;
		key = next;
		first = false;
	}
	return aged;
}

static void forget_workers(int map)
{
	uint32_t key = 0, next = 0;
	bool first = true, more = true;

	for (uint32_t i = 0; more && i <= VS_VIRTQ__N; i++) {
		more = !bpf_map_get_next_key(map, first ? NULL : &key, &next);
		if (!first && worker_is_gone(key))
			(void)bpf_map_delete_elem(map, &key);
		key = next;
		first = false;
	}
}

int vs_collect_vhost(const struct vs_inventory *inv, const struct vs_vhost_probe *vhost,
		     struct vs_virtq_batch *b, struct vs_sample *ret)
{
	const struct vs_vhost_maps *m = vs_vhost_probe_maps(vhost);

	if (m->virtq < 0)
		return 0;
	if (!b->rows) {
		b->keys = calloc(VS_VIRTQ_BATCH, sizeof(*b->keys));
		b->rows = calloc(VS_VIRTQ_BATCH, sizeof(*b->rows));
		if (!b->keys || !b->rows)
			return -ENOMEM;
	}
	if (ret->mono_ns - b->looked_ns >= VS_WAKE_AGE_NS) {
		b->looked_ns = ret->mono_ns;
		if (m->wake >= 0)
			b->wakes_aged += age_wakes(m->wake, ret->mono_ns);
		forget_workers(m->worker);
	}
	return read_rows(inv, m->virtq, m->worker, b, ret);
}

void vs_virtq_batch_done(struct vs_virtq_batch *b)
{
	free(b->keys);
	free(b->rows);
	memset(b, 0, sizeof(*b));
}
