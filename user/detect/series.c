/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "detect/series.h"

#include "base/histogram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* The timer that asks for samples is early or late by some milliseconds. */
#define EARLY_NS 500000000ull
#define NS_PER_S 1000000000ull

/* What is counted of a vNIC or of a disk's operation, cumulative. */
enum counter {
	WAITED_NS,
	WAITED_N,
	WAITED_SAMPLES,
	RX_BYTES,
	TX_BYTES,
	RX_PACKETS,
	TX_PACKETS,
	RX_LOST,
	TX_LOST,
	COUNTERS
};

struct row {
	struct {
		uint64_t uid;	  /* of the vNIC, or of the disk's VM */
		uint32_t dev, op; /* of a disk; a vNIC's dev is 0, which is no disk's */
	} key;
	uint64_t vm_uid, seen_ns;
	uint64_t base[COUNTERS];
	bool based; /* base[] is that of the sample before */
	char name[32];
	uint32_t series_n;
	UT_hash_handle hh;
	_Alignas(8) unsigned char series[];
};

struct vs_series_set {
	struct vs_series_ops ops;
	struct row *rows;
	size_t series_size, series_n, bytes;
	uint64_t last_ns, now_ns;
	const struct vs_vm_sample *vm; /* of the row before: mostly they come VM by VM */
};

struct kind {
	enum vs_series_kind kind;
	uint8_t way;
};
static const struct kind of_vnic[] = {{VS_SERIES_RESIDENCE, VS_DIR_RX},
				      {VS_SERIES_DROP_RATIO, VS_DIR_RX},
				      {VS_SERIES_DROP_RATIO, VS_DIR_TX},
				      {VS_SERIES_THROUGHPUT, VS_DIR_RX},
				      {VS_SERIES_THROUGHPUT, VS_DIR_TX}};
static const enum vs_series_kind of_disk[] = {VS_SERIES_DISK_LATENCY, VS_SERIES_THROUGHPUT};

int vs_series_new(const struct vs_series_ops *ops, struct vs_series_set **ret)
{
	struct vs_series_set *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	set->ops = *ops;
	set->series_size = (sizeof(struct vs_series) + ops->state_size + 7) & ~(size_t)7;
	*ret = set;
	return 0;
}

static struct vs_series *series_at(const struct vs_series_set *set, struct row *row, uint32_t i)
{
	return (struct vs_series *)(row->series + i * set->series_size);
}

static struct vs_series_of of(const struct row *row)
{
	return (struct vs_series_of){.vm_uid = row->vm_uid,
				     .vnic = row->key.dev ? NULL : row->name,
				     .disk = row->key.dev ? row->name : NULL};
}

static void forget(struct vs_series_set *set, struct row *row)
{
	set->series_n -= row->series_n;
	set->bytes -= sizeof(*row) + row->series_n * set->series_size;
	HASH_DEL(set->rows, row);
	free(row);
}

void vs_series_free(struct vs_series_set **set)
{
	struct row *row, *tmp;

	if (!*set)
		return;
	HASH_ITER(hh, (*set)->rows, row, tmp)
	forget(*set, row);
	free(*set);
	*set = NULL;
}

static void begin(struct vs_series_set *set, struct vs_series *s, enum vs_series_kind kind,
		  uint8_t way)
{
	s->kind = kind;
	s->way = way;
	set->ops.begin(set->ops.data, s);
}

static struct row *row_of(struct vs_series_set *set, const struct row *like, uint32_t series_n)
{
	struct row *row;
	size_t size = sizeof(*row) + series_n * set->series_size;

	HASH_FIND(hh, set->rows, &like->key, sizeof(like->key), row);
	if (row)
		return row;
	row = calloc(1, size); /* no memory: it is tried again with the next sample */
	if (!row)
		return NULL;
	row->key = like->key;
	row->vm_uid = like->vm_uid;
	row->series_n = series_n;
	HASH_ADD(hh, set->rows, key, sizeof(row->key), row);
	set->series_n += series_n;
	set->bytes += size;
	return row;
}

static void start_window(struct vs_series *s)
{
	s->sum = 0;
	s->n = s->over_ns = 0;
}

/* @sum over @n things more. The value is their mean; where the number of things
 * does not matter, it is the sum by the second. */
static void feed(struct vs_series_set *set, struct row *row, uint32_t i, double sum, uint64_t n)
{
	struct vs_series *s = series_at(set, row, i);
	const struct vs_form *form = &vs_forms[s->kind];
	struct vs_series_of what = of(row);

	s->sum += sum;
	s->n += n;
	s->over_ns += set->now_ns - set->last_ns;
	if (s->over_ns + EARLY_NS >= form->window_s * NS_PER_S && s->n >= form->least) {
		double by = form->least ? (double)s->n : (double)s->over_ns / 1e9;

		set->ops.value(set->ops.data, s, &what, s->sum / by);
		start_window(s);
	} else if (s->over_ns + EARLY_NS >= VS_SERIES_PATIENCE_NS) {
		set->ops.absent(set->ops.data, s, &what);
		start_window(s);
	}
}

/* Nothing can be said of the time since the last sample. */
static void skip(struct vs_series_set *set, struct row *row)
{
	struct vs_series_of what = of(row);

	for (uint32_t i = 0; i < row->series_n; i++) {
		start_window(series_at(set, row, i));
		set->ops.absent(set->ops.data, series_at(set, row, i), &what);
	}
}

/* Counters since the sample before, into @ret; false if there is no before. */
static bool advance(struct vs_series_set *set, struct row *row, const uint64_t now[COUNTERS],
		    uint64_t ret[COUNTERS])
{
	bool good = row->based && set->now_ns > set->last_ns &&
		    set->now_ns - set->last_ns <= VS_SERIES_GAP_NS;

	for (int i = 0; i < COUNTERS; i++) {
		/* Sums of a histogram's buckets wrap at 2^32. */
		ret[i] = i == WAITED_N ? (uint32_t)(now[i] - row->base[i]) : now[i] - row->base[i];
		good = good && (i == WAITED_N || now[i] >= row->base[i]);
		row->base[i] = now[i];
	}
	row->seen_ns = set->now_ns;
	if (row->based && !good)
		skip(set, row);
	row->based = true;
	return good;
}

static const struct vs_vm_sample *vm_of(struct vs_series_set *set, const struct vs_sample *s,
					uint64_t uid)
{
	if (!set->vm || set->vm->uid != uid)
		set->vm = vs_sample_find_vm(s, uid);
	return set->vm && set->vm->announced && !set->vm->ended ? set->vm : NULL;
}

static bool paused(const struct vs_vm_sample *vm)
{
	return vm->libvirt.known && strcmp(vm->libvirt.state, "paused") == 0;
}

static void on_vnic(struct vs_series_set *set, const struct vs_vm_sample *vm,
		    const struct vs_vnic_sample *n, const uint64_t lost[2])
{
	struct row *row = row_of(set, &(struct row){.key.uid = n->uid, .vm_uid = vm->uid},
				 sizeof(of_vnic) / sizeof(of_vnic[0]));
	uint64_t now[COUNTERS] = {[RX_LOST] = lost[VS_DIR_RX], [TX_LOST] = lost[VS_DIR_TX]},
		 d[COUNTERS];

	if (!row)
		return;
	if (!row->seen_ns) {
		memcpy(row->name, n->name, sizeof(n->name));
		for (uint32_t i = 0; i < row->series_n; i++)
			begin(set, series_at(set, row, i), of_vnic[i].kind, of_vnic[i].way);
	}
	if (n->has_residence) {
		now[WAITED_NS] = n->residence.sum_ns;
		now[WAITED_SAMPLES] = n->samples;
		now[WAITED_N] = (uint32_t)vs_hist_count(&n->residence);
	}
	if (n->has_link)
		for (int i = 0; i < 2; i++) {
			now[RX_BYTES + i] = n->bytes[i];
			now[RX_PACKETS + i] = n->packets[i];
		}
	if (!advance(set, row, now, d))
		return;
	if (paused(vm)) {
		skip(set, row);
		return;
	}
	/* As many as were measured, not as many as they stand for: at least so many decide. */
	if (n->has_residence)
		feed(set, row, 0,
		     d[WAITED_N] ? (double)d[WAITED_NS] / 1e9 / (double)d[WAITED_N] *
					   (double)d[WAITED_SAMPLES]
				 : 0,
		     d[WAITED_N] ? d[WAITED_SAMPLES] : 0);
	if (!n->has_link)
		return;
	for (uint32_t i = 0; i < 2; i++) {
		if (n->has_drops)
			feed(set, row, 1 + i, (double)d[RX_LOST + i],
			     d[RX_PACKETS + i] + d[RX_LOST + i]);
		feed(set, row, 3 + i, (double)d[RX_BYTES + i], 0);
	}
}

static void on_disk(struct vs_series_set *set, const struct vs_vm_sample *vm,
		    const struct vs_disk_sample *k)
{
	const struct row like = {.key = {.uid = vm->uid, .dev = k->dev, .op = k->op},
				 .vm_uid = vm->uid};
	struct row *row = row_of(set, &like, sizeof(of_disk) / sizeof(of_disk[0]));
	uint64_t now[COUNTERS] = {[WAITED_NS] = k->row.total_ns, [RX_BYTES] = k->row.bytes},
		 d[COUNTERS];
	uint32_t n = 0;

	if (!row)
		return;
	if (!row->seen_ns) {
		memcpy(row->name, k->info->name, sizeof(k->info->name));
		for (uint32_t i = 0; i < row->series_n; i++)
			begin(set, series_at(set, row, i), of_disk[i], (uint8_t)k->op);
	}
	for (uint32_t i = 0; i < VS_HIST__N; i++)
		n += k->row.n[i][VS_PART_TOTAL];
	now[WAITED_N] = n;
	if (!advance(set, row, now, d))
		return;
	if (paused(vm)) {
		skip(set, row);
		return;
	}
	feed(set, row, 0, (double)d[WAITED_NS] / 1e9, d[WAITED_N]);
	feed(set, row, 1, (double)d[RX_BYTES], 0);
}

void vs_series_tick(struct vs_series_set *set, const struct vs_sample *s)
{
	const struct vs_vm_sample *vm;
	struct row *row, *tmp;
	size_t at = 0;

	set->vm = NULL;
	set->now_ns = s->mono_ns;
	/* Drops are sorted by their vNIC, like the vNICs. */
	for (size_t i = 0; i < s->vnics_n; i++) {
		const struct vs_vnic_sample *n = &s->vnics[i];
		uint64_t lost[2] = {0};

		while (at < s->drops_n && s->drops[at].vnic_uid < n->uid)
			at++;
		for (; at < s->drops_n && s->drops[at].vnic_uid == n->uid; at++)
			if (s->drops[at].kind.class == VS_CLASS_LOSS)
				lost[s->drops[at].kind.direction] += s->drops[at].count;
		vm = n->attached ? vm_of(set, s, n->vm_uid) : NULL;
		if (vm)
			on_vnic(set, vm, n, lost);
	}
	for (size_t i = 0; i < s->disks_n; i++) {
		const struct vs_disk_sample *k = &s->disks[i];

		if (k->op != VS_OP_READ && k->op != VS_OP_WRITE)
			continue;
		vm = k->vm_uid ? vm_of(set, s, k->vm_uid) : NULL;
		if (vm)
			on_disk(set, vm, k);
	}
	HASH_ITER(hh, set->rows, row, tmp)
	{
		struct vs_series_of what = of(row);

		if (row->seen_ns == s->mono_ns)
			continue;
		for (uint32_t i = 0; i < row->series_n; i++)
			set->ops.end(set->ops.data, series_at(set, row, i), &what);
		forget(set, row);
	}
	set->last_ns = s->mono_ns;
}

size_t vs_series_count(const struct vs_series_set *set, size_t *ret_bytes)
{
	if (ret_bytes)
		*ret_bytes = set->bytes;
	return set->series_n;
}
