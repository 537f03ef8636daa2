/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire_check.c - is what another process wrote a sample? See wire.h. */
#include "source/wire_format.h"

#include <errno.h>

static const char *text_of(const struct vs_wire_refs *refs, const char *number)
{
	uintptr_t i = (uintptr_t)number;

	return i && i <= refs->texts_n ? refs->texts[i - 1] : NULL;
}

static int check_vms(struct vs_sample *s, const struct vs_wire_refs *refs)
{
	for (size_t i = 0; i < s->vms_n; i++) {
		struct vs_vm_sample *v = &s->vms[i];

		v->source = text_of(refs, v->source);
		if (!v->source || !vs_wire_is_bool(&v->ended) || !vs_wire_is_bool(&v->announced) ||
		    !vs_wire_is_bool(&v->libvirt.known) || v->images_n > VS_IMAGE__N ||
		    v->labels_n > VS_LABEL__N)
			return -EBADMSG;
		VS_WIRE_CUT(v->name);
		VS_WIRE_CUT(v->uuid);
		VS_WIRE_CUT(v->libvirt.state);
		VS_WIRE_CUT(v->libvirt.reason);
		VS_WIRE_CUT(v->libvirt.title);
		VS_WIRE_CUT(v->libvirt.disagreement);
		for (uint32_t k = 0; k < v->images_n; k++) {
			VS_WIRE_CUT(v->images[k].path);
			VS_WIRE_CUT(v->images[k].target);
		}
		for (uint32_t k = 0; k < v->labels_n; k++) {
			VS_WIRE_CUT(v->labels[k].name);
			VS_WIRE_CUT(v->labels[k].value);
		}
	}
	return 0;
}

static int check_net(struct vs_sample *s, const struct vs_wire_refs *refs)
{
	for (size_t i = 0; i < s->vnics_n; i++) {
		struct vs_vnic_sample *n = &s->vnics[i];

		if (!vs_wire_is_bool(&n->attached) || !vs_wire_is_bool(&n->has_link) || !vs_wire_is_bool(&n->vhost_blind) ||
		    !vs_wire_is_bool(&n->has_drops) || !vs_wire_is_bool(&n->has_residence))
			return -EBADMSG;
		VS_WIRE_CUT(n->name);
		VS_WIRE_CUT(n->mac);
		VS_WIRE_CUT(n->alias);
	}
	for (size_t i = 0; i < s->drops_n; i++) {
		struct vs_drop_sample *d = &s->drops[i];

		d->reason = text_of(refs, d->reason);
		d->location = text_of(refs, d->location);
		if (!d->reason || !d->location || d->kind.site >= VS_SITE__N ||
		    d->kind.class >= VS_CLASS__N || d->kind.direction > VS_DIR_TX ||
		    !vs_wire_is_bool(&d->kind.kernel_counts) || !vs_wire_is_bool(&d->kind.by_noop))
			return -EBADMSG;
	}
	for (size_t i = 0; i < s->virtqs_n; i++)
		if (!vs_wire_is_bool(&s->virtqs[i].ended) || s->virtqs[i].row.direction > VS_DIR_BOTH)
			return -EBADMSG;
	return 0;
}

static int check_rest(struct vs_sample *s, const struct vs_wire_refs *refs)
{
	for (size_t i = 0; i < s->disks_n; i++) {
		struct vs_disk_sample *d = &s->disks[i];
		uintptr_t number = (uintptr_t)d->info;

		d->info = number && number <= refs->infos_n ? refs->infos[number - 1] : NULL;
		if (!d->info || d->op >= VS_OP__N)
			return -EBADMSG;
	}
	for (size_t i = 0; i < s->threads_n; i++) {
		if (s->threads[i].role >= VS_ROLE__N)
			return -EBADMSG;
		VS_WIRE_CUT(s->threads[i].name);
	}
	return 0;
}

void vs_wire_cut_program(struct vs_program_sample *p)
{
	VS_WIRE_CUT(p->name);
	VS_WIRE_CUT(p->hook);
}

static int check_self(struct vs_self_sample *self, const struct vs_wire_refs *refs)
{
	if (self->programs_n > VS_PROGRAM__N || self->probes_n > VS_PROBE__N ||
	    self->maps_n > VS_MAP__N || self->sinks_n > VS_SINK__N)
		return -EBADMSG;
	for (uint32_t i = 0; i < self->programs_n; i++)
		vs_wire_cut_program(&self->programs[i]);
	for (uint32_t i = 0; i < self->probes_n; i++) {
		struct vs_probe_state *p = &self->probes[i];

		p->state = text_of(refs, p->state);
		if (!p->state)
			return -EBADMSG;
		VS_WIRE_CUT(p->name);
		VS_WIRE_CUT(p->reason);
	}
	for (uint32_t i = 0; i < self->maps_n; i++)
		VS_WIRE_CUT(self->maps[i].name);
	for (uint32_t i = 0; i < self->sinks_n; i++)
		VS_WIRE_CUT(self->sinks[i].name);
	return 0;
}

int vs_wire_check(struct vs_sample *s, const struct vs_wire_refs *refs)
{
	int r = check_vms(s, refs);

	if (!r)
		r = check_net(s, refs);
	if (!r)
		r = check_rest(s, refs);
	return r ? r : check_self(&s->self, refs);
}
