/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a sample, or as a look at the deep window, of the probe process
 * (make fuzz). The first become the header, whose sizes are put right so that what
 * follows is reached; the rest is repeated to fill the records.
 */
#include "source/wire.h"
#include "source/wire_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct vs_sample *s)
{
	size_t sum = 0;

	for (size_t i = 0; i < s->vms_n; i++) {
		sum += strlen(s->vms[i].name) + strlen(s->vms[i].source) + s->vms[i].ended;
		for (uint32_t k = 0; k < s->vms[i].images_n; k++)
			sum += strlen(s->vms[i].images[k].target);
	}
	for (size_t i = 0; i < s->drops_n; i++)
		sum += strlen(s->drops[i].reason) + strlen(s->drops[i].location) +
		       s->drops[i].kind.by_noop + strlen(vs_site_name(s->drops[i].kind.site));
	for (size_t i = 0; i < s->disks_n; i++)
		sum += strlen(s->disks[i].info->name) + s->disks[i].info->logical;
	for (uint32_t i = 0; i < s->self.probes_n; i++)
		sum += strlen(s->self.probes[i].state);
	for (uint32_t i = 0; s->kvm_names && i < s->kvm_names->n; i++)
		sum += strlen(s->kvm_names->name[i]);
	return sum;
}

static size_t align(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* The header's sizes, as small as lets there be some of each. Return: of all. */
static size_t put_right(struct vs_wire_header *h, size_t left)
{
	size_t len = align(sizeof(*h));

	h->magic = VS_WIRE_MAGIC;
	vs_wire_sizes(h->each);
	for (int i = 0; i < VS_WIRE_ARRAY__N; i++) {
		h->n[i] %= 3;
		len += align(h->n[i] * h->each[i]);
	}
	h->has_kvm_names &= 1;
	h->flush_blind &= 1;
	h->synthetic &= 1;
	h->infos_n %= 3;
	h->texts_len = left < 64 ? left : 64;
	len += align(h->each[VS_WIRE_SELF]) + align(h->infos_n * h->each[VS_WIRE_INFO]) +
	       (h->has_kvm_names ? align(h->each[VS_WIRE_KVM_NAMES]) : 0) + h->texts_len;
	h->len = len;
	return len;
}

static void decode_deep(char *bytes, size_t len)
{
	struct vs_deep_sample deep = { 0 };
	struct vs_wire_deep d;

	if (len < sizeof(d))
		return;
	memcpy(&d, bytes, sizeof(d));
	d.magic = VS_WIRE_DEEP_MAGIC;
	d.len = len;
	d.thread_size = sizeof(*deep.threads);
	d.ran_size = sizeof(*deep.ran);
	d.program_size = sizeof(deep.programs);
	memcpy(bytes, &d, sizeof(d));
	(void)vs_wire_decode_deep(bytes, len, &deep);
	vs_deep_sample_done(&deep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vs_sample s;
	struct vs_wire_names *names;
	struct vs_wire_header h;
	size_t left, len;
	char *bytes;

	if (size <= sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	data += sizeof(h);
	left = size - sizeof(h);
	len = put_right(&h, left);
	bytes = malloc(len);
	if (vs_wire_names_new(&names) || !bytes)
		abort();
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)data[i % left];
	memcpy(bytes, &h, sizeof(h));
	if (!vs_wire_decode(bytes, len, names, &s) && walk(&s) == SIZE_MAX)
		abort();
	decode_deep(bytes, len);
	vs_wire_names_free(&names);
	free(bytes);
	return 0;
}
