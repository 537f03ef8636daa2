/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void vs_sample_done(struct vs_sample *s)
{
	free(s->vms);
	free(s->vnics);
	free(s->drops);
	free(s->disks);
	free(s->virtqs);
	free(s->threads);
	free(s->kvm);
	memset(s, 0, sizeof(*s));
}

void vs_sample_clear(struct vs_sample *s)
{
	s->vms_n = s->vnics_n = s->drops_n = s->disks_n = 0;
	s->virtqs_n = s->threads_n = s->kvm_n = 0;
	s->threads_ns = 0;
	s->synthetic = false;
	s->kvm_names = NULL;
	memset(&s->self, 0, sizeof(s->self));
}

static void *append(void **array, size_t *n, size_t *size, size_t each)
{
	char *at;

	if (*n == *size) {
		size_t more = *size ? *size * 2 : 16;
		void *grown = reallocarray(*array, more, each);

		if (!grown)
			return NULL;
		*array = grown;
		*size = more;
	}
	at = (char *)*array + *n * each;
	memset(at, 0, each);
	(*n)++;
	return at;
}

struct vs_vm_sample *vs_sample_add_vm(struct vs_sample *s)
{
	return append((void **)&s->vms, &s->vms_n, &s->vms_size, sizeof(*s->vms));
}

struct vs_vnic_sample *vs_sample_add_vnic(struct vs_sample *s)
{
	return append((void **)&s->vnics, &s->vnics_n, &s->vnics_size, sizeof(*s->vnics));
}

struct vs_drop_sample *vs_sample_add_drop(struct vs_sample *s)
{
	return append((void **)&s->drops, &s->drops_n, &s->drops_size, sizeof(*s->drops));
}

struct vs_disk_sample *vs_sample_add_disk(struct vs_sample *s)
{
	return append((void **)&s->disks, &s->disks_n, &s->disks_size, sizeof(*s->disks));
}

struct vs_virtq_sample *vs_sample_add_virtq(struct vs_sample *s)
{
	return append((void **)&s->virtqs, &s->virtqs_n, &s->virtqs_size, sizeof(*s->virtqs));
}

struct vs_thread_sample *vs_sample_add_thread(struct vs_sample *s)
{
	return append((void **)&s->threads, &s->threads_n, &s->threads_size, sizeof(*s->threads));
}

struct vs_kvm_sample *vs_sample_add_kvm(struct vs_sample *s)
{
	return append((void **)&s->kvm, &s->kvm_n, &s->kvm_size, sizeof(*s->kvm));
}

int vs_sample_copy_vm(struct vs_sample *to, const struct vs_sample *from, uint64_t vm_uid)
{
	void *at;

	for (size_t i = 0; i < to->vms_n; i++)
		if (to->vms[i].uid == vm_uid)
			return 0;
	for (size_t i = 0; i < from->vms_n; i++) {
		struct vs_vm_sample *vm;

		if (from->vms[i].uid != vm_uid)
			continue;
		vm = vs_sample_add_vm(to);
		if (!vm)
			return -ENOMEM;
		*vm = from->vms[i];
		vm->ended = true;
	}
	for (size_t i = 0; i < from->vnics_n; i++) {
		if (from->vnics[i].vm_uid != vm_uid)
			continue;
		at = vs_sample_add_vnic(to);
		if (!at)
			return -ENOMEM;
		memcpy(at, &from->vnics[i], sizeof(from->vnics[i]));
		((struct vs_vnic_sample *)at)->attached = false;
		for (size_t k = 0; k < from->drops_n; k++) {
			if (from->drops[k].vnic_uid != from->vnics[i].uid)
				continue;
			at = vs_sample_add_drop(to);
			if (!at)
				return -ENOMEM;
			memcpy(at, &from->drops[k], sizeof(from->drops[k]));
		}
	}
	for (size_t i = 0; i < from->disks_n; i++) {
		if (from->disks[i].vm_uid != vm_uid)
			continue;
		at = vs_sample_add_disk(to);
		if (!at)
			return -ENOMEM;
		memcpy(at, &from->disks[i], sizeof(from->disks[i]));
	}
	for (size_t i = 0; i < from->virtqs_n; i++) {
		if (from->virtqs[i].vm_uid != vm_uid)
			continue;
		at = vs_sample_add_virtq(to);
		if (!at)
			return -ENOMEM;
		memcpy(at, &from->virtqs[i], sizeof(from->virtqs[i]));
		((struct vs_virtq_sample *)at)->ended = true;
	}
	return 0;
}

void vs_disk_part(const struct vs_disk_row *row, uint32_t part, struct vs_hist *ret)
{
	const uint64_t sums[VS_PART__N] = {
		[VS_PART_QUEUE] = row->total_ns > row->device_ns + row->unissued_ns ?
					  row->total_ns - row->device_ns - row->unissued_ns :
					  0, /* read while a request was being added */
		[VS_PART_DEVICE] = row->device_ns,
		[VS_PART_TOTAL] = row->total_ns,
	};

	ret->sum_ns = sums[part];
	for (uint32_t i = 0; i < VS_HIST__N; i++)
		ret->n[i] = row->n[i][part];
}

#define ORDER(a, b, field)                           \
	do {                                         \
		if ((a)->field != (b)->field)        \
			return (a)->field < (b)->field ? -1 : 1; \
	} while (0)

static int order_vms(const void *x, const void *y)
{
	const struct vs_vm_sample *a = x, *b = y;

	ORDER(a, b, uid);
	return 0;
}

static int order_vnics(const void *x, const void *y)
{
	const struct vs_vnic_sample *a = x, *b = y;

	ORDER(a, b, uid);
	return 0;
}

static int order_drops(const void *x, const void *y)
{
	const struct vs_drop_sample *a = x, *b = y;

	ORDER(a, b, vnic_uid);
	ORDER(a, b, kind.direction);
	ORDER(a, b, kind.site);
	ORDER(a, b, kind.class);
	ORDER(a, b, raw_reason);
	ORDER(a, b, address);
	return 0;
}

static int order_disks(const void *x, const void *y)
{
	const struct vs_disk_sample *a = x, *b = y;

	ORDER(a, b, vm_uid);
	ORDER(a, b, dev);
	ORDER(a, b, op);
	return 0;
}

static int order_virtqs(const void *x, const void *y)
{
	const struct vs_virtq_sample *a = x, *b = y;

	ORDER(a, b, vm_uid);
	ORDER(a, b, key.vq);
	ORDER(a, b, key.tid);
	return 0;
}

static int order_threads(const void *x, const void *y)
{
	const struct vs_thread_sample *a = x, *b = y;

	ORDER(a, b, vm_uid);
	ORDER(a, b, tid);
	return 0;
}

static int order_kvm(const void *x, const void *y)
{
	const struct vs_kvm_sample *a = x, *b = y;

	ORDER(a, b, vm_uid);
	return 0;
}

static void sort(void *array, size_t n, size_t each, int (*order)(const void *, const void *))
{
	const char *at = array;
	size_t i = 1;

	/* Mostly it is: the inventory's order is that of the uids. qsort() would ask
	 * for memory to find that out. */
	while (i < n && order(at + (i - 1) * each, at + i * each) <= 0)
		i++;
	if (i < n)
		qsort(array, n, each, order);
}

void vs_sample_sort(struct vs_sample *s)
{
	sort(s->vms, s->vms_n, sizeof(*s->vms), order_vms);
	sort(s->vnics, s->vnics_n, sizeof(*s->vnics), order_vnics);
	sort(s->drops, s->drops_n, sizeof(*s->drops), order_drops);
	sort(s->disks, s->disks_n, sizeof(*s->disks), order_disks);
	sort(s->virtqs, s->virtqs_n, sizeof(*s->virtqs), order_virtqs);
	vs_sample_sort_threads(s);
}

void vs_sample_sort_threads(struct vs_sample *s)
{
	sort(s->threads, s->threads_n, sizeof(*s->threads), order_threads);
	sort(s->kvm, s->kvm_n, sizeof(*s->kvm), order_kvm);
}

static const void *find(const void *like, const void *array, size_t n, size_t each,
			int (*order)(const void *, const void *))
{
	return n ? bsearch(like, array, n, each, order) : NULL;
}

const struct vs_vm_sample *vs_sample_find_vm(const struct vs_sample *s, uint64_t uid)
{
	size_t low = 0, high = s->vms_n;

	/* By hand: to search by example, one would fill 3 KiB for it. */
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->vms[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->vms_n && s->vms[low].uid == uid ? &s->vms[low] : NULL;
}

const struct vs_vnic_sample *vs_sample_find_vnic(const struct vs_sample *s, uint64_t uid)
{
	struct vs_vnic_sample like = { .uid = uid };

	return find(&like, s->vnics, s->vnics_n, sizeof(like), order_vnics);
}

const struct vs_drop_sample *vs_sample_find_drop(const struct vs_sample *s,
						 const struct vs_drop_sample *like)
{
	return find(like, s->drops, s->drops_n, sizeof(*like), order_drops);
}

const struct vs_disk_sample *vs_sample_find_disk(const struct vs_sample *s, uint64_t vm_uid,
						 uint32_t dev, uint32_t op)
{
	struct vs_disk_sample like = { .vm_uid = vm_uid, .dev = dev, .op = op };

	return find(&like, s->disks, s->disks_n, sizeof(like), order_disks);
}

const struct vs_virtq_sample *vs_sample_find_virtq(const struct vs_sample *s,
						   const struct vs_virtq_sample *like)
{
	return find(like, s->virtqs, s->virtqs_n, sizeof(*like), order_virtqs);
}

const struct vs_thread_sample *vs_sample_find_thread(const struct vs_sample *s, uint64_t vm_uid,
						     uint32_t tid)
{
	struct vs_thread_sample like = { .vm_uid = vm_uid, .tid = tid };

	return find(&like, s->threads, s->threads_n, sizeof(like), order_threads);
}

const struct vs_kvm_sample *vs_sample_find_kvm(const struct vs_sample *s, uint64_t vm_uid)
{
	struct vs_kvm_sample like = { .vm_uid = vm_uid };

	return find(&like, s->kvm, s->kvm_n, sizeof(like), order_kvm);
}

#define NAMES(fn, list, prefix, count)                     \
	const char *fn(uint32_t i)                         \
	{                                                  \
		static const char *const names[] = { list(NAME) }; \
		return i < (count) ? names[i] : "?";       \
	}
#define NAME(name, label, ...) label,
NAMES(vs_op_name, VS_OPS, VS_OP_, VS_OP__N)
NAMES(vs_role_name, VS_ROLES, VS_ROLE_, VS_ROLE__N)
NAMES(vs_part_name, VS_PARTS, VS_PART_, VS_PART__N)
NAMES(vs_lost_name, VS_LOSSES, VS_LOST_, VS_LOST__N)
#undef NAME
#define NAME(name, label, help) help,
NAMES(vs_lost_help, VS_LOSSES, VS_LOST_, VS_LOST__N)
#undef NAME
