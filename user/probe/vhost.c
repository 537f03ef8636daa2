/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/vhost.h"

#include "base/log.h"

#include "vhost.skel.h"
#include "vhost_sched.skel.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

struct vs_vhost_probe {
	const struct vs_kcaps *caps;
	const struct vs_loader *loader;
	struct vs_plan_probe *row;
	unsigned int denied;
	struct vhost_bpf *object; /* NULL: detached, or it is the other */
	struct vhost_sched_bpf *sched;
	struct vs_vhost_maps maps;
	struct vs_attached attached[VS_PLAN_PROGRAMS];
	uint32_t attached_n;
	bool gave_up;	      /* until modules change */
	uint64_t idle_ns;     /* since then no VM uses it; 0: one does */
};

int vs_vhost_probe_new(const struct vs_kcaps *caps, unsigned int denied,
		       const struct vs_loader *loader, struct vs_plan_probe *row,
		       struct vs_vhost_probe **ret)
{
	struct vs_vhost_probe *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->caps = caps;
	p->denied = denied;
	p->loader = loader;
	p->row = row;
	p->maps = (struct vs_vhost_maps){ -1, -1, -1 };
	*ret = p;
	return 0;
}

static void detach(struct vs_vhost_probe *p)
{
	for (uint32_t i = 0; i < p->attached_n; i++)
		(void)bpf_link__destroy(p->attached[i].link);
	p->attached_n = 0;
	vhost_bpf__destroy(p->object);
	vhost_sched_bpf__destroy(p->sched);
	p->object = NULL;
	p->sched = NULL;
	p->maps = (struct vs_vhost_maps){ -1, -1, -1 };
}

void vs_vhost_probe_free(struct vs_vhost_probe **probe)
{
	if (!*probe)
		return;
	detach(*probe);
	free(*probe);
	*probe = NULL;
}

static bool is_attached(const struct vs_vhost_probe *p)
{
	return p->object || p->sched;
}

static int open_object(struct vs_vhost_probe *p, struct bpf_object **ret)
{
	if (p->row->object == VS_OBJECT_VHOST_SCHED) {
		p->sched = vhost_sched_bpf__open();
		*ret = p->sched ? p->sched->obj : NULL;
	} else {
		p->object = vhost_bpf__open();
		*ret = p->object ? p->object->obj : NULL;
	}
	return *ret ? 0 : -errno;
}

static void learn_maps(struct vs_vhost_probe *p)
{
	if (p->sched) {
		p->maps.virtq = bpf_map__fd(p->sched->maps.vs_virtq);
		p->maps.worker = bpf_map__fd(p->sched->maps.vs_slice);
		return;
	}
	p->maps.virtq = bpf_map__fd(p->object->maps.vs_virtq);
	p->maps.worker = bpf_map__fd(p->object->maps.vs_worker);
	p->maps.wake = bpf_map__fd(p->object->maps.vs_wake);
}

static int attach(struct vs_vhost_probe *p)
{
	struct bpf_object *obj;
	int r = open_object(p, &obj);

	if (!r)
		r = vs_loader_prepare(p->loader, obj, p->row);
	if (!r)
		r = bpf_object__load(obj);
	for (uint32_t i = 0; !r && i < p->row->programs_n; i++) {
		r = vs_attach(obj, p->row->programs[i], &p->attached[p->attached_n]);
		if (!r)
			p->attached_n++;
		else if (p->sched && r == -ENOENT)
			r = 0; /* kvm's tracepoint, where kvm is not loaded */
	}
	if (!r)
		learn_maps(p);
	return r;
}

static void bring_up(struct vs_vhost_probe *p)
{
	static const unsigned int lesser[] = { 1u << VS_HOOK_FENTRY, 1u << VS_HOOK_KPROBE };
	unsigned int denied = p->denied;
	struct vs_vhost_facts facts;
	int r = 0;

	vs_kcaps_vhost(p->caps, &facts);
	vs_plan_vhost(p->caps, &facts, denied, true, p->row);
	if (!p->row->programs_n) {
		p->gave_up = true;
		return;
	}
	/* What the kernel refuses is tried in the next lesser form. */
	for (size_t i = 0; i <= sizeof(lesser) / sizeof(lesser[0]) && p->row->programs_n; i++) {
		r = attach(p);
		if (!r)
			return;
		detach(p);
		if (i == sizeof(lesser) / sizeof(lesser[0]))
			break;
		vs_debug("attach probe '%s': %s; trying less", p->row->name, strerror(-r));
		denied |= lesser[i];
		vs_plan_vhost(p->caps, &facts, denied, true, p->row);
	}
	p->gave_up = true;
	p->row->state = VS_STATE_FAILED;
	p->row->programs_n = 0;
	(void)snprintf(p->row->reason, sizeof(p->row->reason), "load or attach: %s", strerror(-r));
	vs_warn("attach probe '%s': %s; %s (see virtscope doctor), ignoring", p->row->name,
		strerror(-r), p->row->lost);
}

uint64_t vs_vhost_probe_update(struct vs_vhost_probe *p, bool in_use, uint64_t now_ns)
{
	static const struct vs_vhost_facts none;

	if (!p->caps->btf || vs_loader_maps(p->loader)->lost < 0)
		return 0;
	if (in_use) {
		p->idle_ns = 0;
		if (!is_attached(p) && !p->gave_up)
			bring_up(p);
		return 0;
	}
	if (!is_attached(p)) {
		p->gave_up = false;
		vs_plan_vhost(p->caps, &none, p->denied, false, p->row);
		return 0;
	}
	if (!p->idle_ns)
		p->idle_ns = now_ns;
	if (now_ns - p->idle_ns < VS_VHOST_KEEP_NS)
		return VS_VHOST_KEEP_NS - (now_ns - p->idle_ns);
	detach(p);
	vs_plan_vhost(p->caps, &none, p->denied, false, p->row);
	vs_debug("no VM has used vhost-net for %d s: its probe is detached",
		 (int)(VS_VHOST_KEEP_NS / 1000000000));
	return 0;
}

void vs_vhost_probe_modules_changed(struct vs_vhost_probe *p)
{
	p->gave_up = false;
}

const struct vs_vhost_maps *vs_vhost_probe_maps(const struct vs_vhost_probe *p)
{
	return &p->maps;
}

uint32_t vs_vhost_probe_programs(const struct vs_vhost_probe *p, struct vs_program_sample *ret,
				 uint32_t size)
{
	return vs_attached_programs(p->attached, p->attached_n, ret, size);
}
