/* SPDX-License-Identifier: GPL-2.0-or-later */
/* domains_fill.c - what is known of a VM, from libvirt or /proc, into a sample. */
#include "source/domains.h"

#include "base/cleanup.h"

#include <string.h>

/* The guest's memory and QEMU's own, as far as it is resident. */
static uint64_t resident_bytes(uint32_t pid)
{
	char path[64];
	vs_autofclose FILE *f = NULL;
	unsigned long pages = 0;

	(void)snprintf(path, sizeof(path), "/proc/%u/statm", pid);
	f = fopen(path, "re");
	return f && fscanf(f, "%*u %lu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void fill_images(const struct vs_domain *d, struct vs_vm_sample *v)
{
	for (uint32_t i = 0; i < d->disks_n && v->images_n < VS_IMAGE__N; i++) {
		struct vs_image *image = &v->images[v->images_n];

		if (!*d->disks[i].path)
			continue;
		memcpy(image->path, d->disks[i].path, sizeof(image->path));
		memcpy(image->target, d->disks[i].target, sizeof(image->target));
		v->images_n++;
	}
}

void vs_domains_fill_vm(const struct vs_vm_entry *vm, struct vs_vm_sample *v)
{
	const struct vs_domain *d = vm->domain;

	memcpy(v->name, vm->name, sizeof(v->name));
	(void)snprintf(v->uuid, sizeof(v->uuid), "%s", vs_vm_uuid(vm));
	v->source = d ? "libvirt" : "proc";
	v->memory_used = resident_bytes(vm->pid);
	v->memory_total = d && d->memory_bytes ? d->memory_bytes : vm->facts.memory_bytes;
	memcpy(v->libvirt.disagreement, vm->disagreement, sizeof(v->libvirt.disagreement));
	if (!d) {
		v->images_n = vm->facts.images_n;
		memcpy(v->images, vm->facts.images, sizeof(v->images));
		return;
	}
	v->memory_balloon = d->balloon_bytes;
	v->libvirt.known = true;
	v->libvirt.id = d->id;
	memcpy(v->libvirt.state, d->state, sizeof(v->libvirt.state));
	memcpy(v->libvirt.reason, d->reason, sizeof(v->libvirt.reason));
	memcpy(v->libvirt.title, d->title, sizeof(v->libvirt.title));
	fill_images(d, v);
	v->labels_n = d->labels_n;
	memcpy(v->labels, d->labels, sizeof(v->labels));
}

void vs_domains_fill_vnic(const struct vs_vnic_entry *e, struct vs_vnic_sample *n)
{
	const struct vs_domain *d = e->vm->domain;

	for (uint32_t i = 0; d && i < d->nics_n; i++) {
		if (strcmp(d->nics[i].tap, e->name) != 0)
			continue;
		memcpy(n->mac, d->nics[i].mac, sizeof(n->mac));
		memcpy(n->alias, d->nics[i].alias, sizeof(n->alias));
	}
}

void vs_domains_fill_probe(const struct vs_domains *s, struct vs_self_sample *self)
{
	static const char *const states[] = {
		[VS_LIBVIRT_OFF] = "absent",
		[VS_LIBVIRT_STARTING] = "fallback",
		[VS_LIBVIRT_CONNECTED] = "active",
		[VS_LIBVIRT_LOST] = "fallback",
	};
	const struct vs_libvirt *libvirt = vs_domains_libvirt(s);
	enum vs_libvirt_state state = vs_libvirt_state(libvirt);
	bool absent = vs_libvirt_is_absent(libvirt);
	struct vs_probe_state *p = &self->probes[self->probes_n];

	if (self->probes_n == VS_PROBE__N)
		return;
	self->probes_n++;
	memset(p, 0, sizeof(*p));
	(void)snprintf(p->name, sizeof(p->name), "discover.libvirt");
	p->state = absent ? "absent" : states[state];
	if (state == VS_LIBVIRT_STARTING)
		(void)snprintf(p->reason, sizeof(p->reason),
			       "/proc serves: libvirt has not answered yet");
	else if (absent)
		(void)snprintf(p->reason, sizeof(p->reason),
			       "not needed: no libvirtd runs here: %.110s",
			       vs_libvirt_reason(libvirt));
	else if (state == VS_LIBVIRT_LOST)
		(void)snprintf(p->reason, sizeof(p->reason), "/proc serves: %.140s",
			       vs_libvirt_reason(libvirt));
	else if (state == VS_LIBVIRT_OFF)
		(void)snprintf(p->reason, sizeof(p->reason), "not needed: %s",
			       vs_libvirt_reason(libvirt));
}
