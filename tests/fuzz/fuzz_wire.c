/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a sample, or as a look at the deep window, of the probe process.
 * The header's sizes, lengths and mark are put right, so that what follows is
 * reached. To run, from the top of the repository:
 *
 *   clang -std=gnu17 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *         -Iuser -Ibpf tests/fuzz/fuzz_wire.c user/source/wire*.c user/model/[a-z]*.c \
 *         user/base/[a-z]*.c -ljansson -lm -o build/fuzz_wire
 *   build/fuzz_wire -max_total_time=60 -max_len=65536
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size + sizeof(struct vs_wire_header) + sizeof(struct vs_self_sample);
	static struct vs_sample s;
	struct vs_deep_sample deep = { 0 };
	struct vs_wire_names *names;
	struct vs_wire_header h;
	struct vs_wire_deep d;
	char *bytes = calloc(1, len);

	if (vs_wire_names_new(&names) || !bytes)
		abort();
	memcpy(bytes, data, size);
	memcpy(&h, bytes, sizeof(h));
	h.magic = VS_WIRE_MAGIC;
	h.len = len;
	vs_wire_sizes(h.each);
	memcpy(bytes, &h, sizeof(h));
	if (!vs_wire_decode(bytes, len, names, &s) && walk(&s) == SIZE_MAX)
		abort();
	memcpy(&d, bytes, sizeof(d));
	d.magic = VS_WIRE_DEEP_MAGIC;
	d.len = len;
	d.thread_size = sizeof(*deep.threads);
	d.ran_size = sizeof(*deep.ran);
	d.program_size = sizeof(deep.programs);
	memcpy(bytes, &d, sizeof(d));
	(void)vs_wire_decode_deep(bytes, len, &deep);
	vs_deep_sample_done(&deep);
	vs_wire_names_free(&names);
	free(bytes);
	return 0;
}
