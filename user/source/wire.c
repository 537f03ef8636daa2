/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/wire.h"

#include "source/wire_format.h"

#include <errno.h>
#include <string.h>

/* Texts and descriptions that were written lately, by their address. One that
 * fell out is written once more, which costs its bytes and nothing else. */
#define RECENT 512

struct recent {
	const void *at[RECENT];
	uint32_t number[RECENT];
};

struct writer {
	char *buffer;
	size_t size, at; /* @at also counts what had no room */
	struct recent recent;
	uint32_t n; /* numbers given out */
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if (len && w->at <= w->size && len <= w->size - w->at)
		memcpy(w->buffer + w->at, bytes, len);
	w->at += len;
}

static void align(struct writer *w)
{
	static const char zeros[8];

	put(w, zeros, -w->at & 7);
}

static uint32_t *remember(struct recent *r, const void *at, bool *ret_known)
{
	size_t i = ((uintptr_t)at >> 3 ^ (uintptr_t)at >> 12) % RECENT;

	*ret_known = r->at[i] == at;
	r->at[i] = at;
	return &r->number[i];
}

/* Return: its number, from 1. */
static uintptr_t text(struct writer *w, const char *s)
{
	bool known;
	uint32_t *number = remember(&w->recent, s ? s : "", &known);
	size_t len = s ? strnlen(s, VS_WIRE_TEXT__N - 1) : 0;

	if (!known) {
		*number = ++w->n;
		put(w, s, len);
		put(w, "", 1);
	}
	return *number;
}

static uintptr_t description(struct writer *w, const struct vs_disk_info *info)
{
	bool known;
	uint32_t *number = remember(&w->recent, info, &known);

	if (!known) {
		*number = ++w->n;
		put(w, info, sizeof(*info));
	}
	return *number;
}

/* Numbers anew: descriptions and texts are counted apart. */
static void begin_numbers(struct writer *w)
{
	memset(&w->recent, 0, sizeof(w->recent));
	w->n = 0;
}

/* Writes @number over the pointer @within bytes into the record at @record. */
static void patch(struct writer *w, size_t record, size_t within, uintptr_t number)
{
	size_t at = record + within;

	if (at <= w->size && sizeof(number) <= w->size - at)
		memcpy(w->buffer + at, &number, sizeof(number));
}

static size_t put_array(struct writer *w, const void *array, size_t n, size_t each)
{
	size_t at = w->at;

	put(w, array, n * each);
	align(w);
	return at;
}

int vs_wire_encode(const struct vs_sample *s, void *buffer, size_t size, size_t *ret_len)
{
	struct writer w = { .buffer = buffer, .size = size };
	struct vs_wire_header h = { 0 };
	size_t vms, drops, disks, self;

	for (size_t i = 0; i < s->disks_n; i++)
		if (!s->disks[i].info)
			return -EINVAL;
	put(&w, &h, sizeof(h));
	align(&w);
	vms = put_array(&w, s->vms, s->vms_n, sizeof(*s->vms));
	(void)put_array(&w, s->vnics, s->vnics_n, sizeof(*s->vnics));
	drops = put_array(&w, s->drops, s->drops_n, sizeof(*s->drops));
	disks = put_array(&w, s->disks, s->disks_n, sizeof(*s->disks));
	(void)put_array(&w, s->virtqs, s->virtqs_n, sizeof(*s->virtqs));
	(void)put_array(&w, s->threads, s->threads_n, sizeof(*s->threads));
	(void)put_array(&w, s->kvm, s->kvm_n, sizeof(*s->kvm));
	self = put_array(&w, &s->self, 1, sizeof(s->self));
	(void)put_array(&w, s->kvm_names, s->kvm_names ? 1 : 0, sizeof(*s->kvm_names));

	begin_numbers(&w);
	for (size_t i = 0; i < s->disks_n; i++)
		patch(&w, disks + i * sizeof(*s->disks), offsetof(struct vs_disk_sample, info),
		      description(&w, s->disks[i].info));
	h.infos_n = w.n;
	align(&w);

	begin_numbers(&w);
	h.texts_len = w.at;
	for (size_t i = 0; i < s->vms_n; i++)
		patch(&w, vms + i * sizeof(*s->vms), offsetof(struct vs_vm_sample, source),
		      text(&w, s->vms[i].source));
	for (size_t i = 0; i < s->drops_n; i++) {
		size_t record = drops + i * sizeof(*s->drops);

		patch(&w, record, offsetof(struct vs_drop_sample, reason),
		      text(&w, s->drops[i].reason));
		patch(&w, record, offsetof(struct vs_drop_sample, location),
		      text(&w, s->drops[i].location));
	}
	for (size_t i = 0; i < s->self.probes_n && i < VS_PROBE__N; i++)
		patch(&w, self,
		      offsetof(struct vs_self_sample, probes) + i * sizeof(s->self.probes[0]) +
			      offsetof(struct vs_probe_state, state),
		      text(&w, s->self.probes[i].state));
	h.texts_n = w.n;
	h.texts_len = w.at - h.texts_len;

	h.magic = VS_WIRE_MAGIC;
	vs_wire_sizes(h.each);
	h.len = w.at;
	h.mono_ns = s->mono_ns;
	h.wall_ns = s->wall_ns;
	h.threads_ns = s->threads_ns;
	h.n[VS_WIRE_VMS] = s->vms_n;
	h.n[VS_WIRE_VNICS] = s->vnics_n;
	h.n[VS_WIRE_DROPS] = s->drops_n;
	h.n[VS_WIRE_DISKS] = s->disks_n;
	h.n[VS_WIRE_VIRTQS] = s->virtqs_n;
	h.n[VS_WIRE_THREADS] = s->threads_n;
	h.n[VS_WIRE_KVM] = s->kvm_n;
	h.has_kvm_names = s->kvm_names ? 1 : 0;
	h.flush_blind = s->flush_blind;
	h.synthetic = s->synthetic;
	*ret_len = w.at;
	if (w.at > size)
		return -ENOSPC;
	memcpy(buffer, &h, sizeof(h));
	return 0;
}

int vs_wire_encode_deep(const struct vs_deep_sample *s, void *buffer, size_t size, size_t *ret_len)
{
	struct writer w = { .buffer = buffer, .size = size };
	struct vs_wire_deep h = { .magic = VS_WIRE_DEEP_MAGIC,
				  .thread_size = sizeof(*s->threads),
				  .ran_size = sizeof(*s->ran),
				  .program_size = sizeof(s->programs),
				  .mono_ns = s->mono_ns,
				  .threads_n = s->threads_n,
				  .ran_n = s->ran_n,
				  .programs_n = s->programs_n };

	h.len = sizeof(h) + sizeof(s->programs) + s->threads_n * sizeof(*s->threads) +
		s->ran_n * sizeof(*s->ran);
	put(&w, &h, sizeof(h));
	put(&w, s->programs, sizeof(s->programs));
	put(&w, s->threads, s->threads_n * sizeof(*s->threads));
	put(&w, s->ran, s->ran_n * sizeof(*s->ran));
	*ret_len = w.at;
	return w.at > size ? -ENOSPC : 0;
}
