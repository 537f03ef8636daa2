/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/loader.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "discover/proc.h"

#include "block.skel.h"
#include "discover.skel.h"
#include "tap.skel.h"
#include "tunfile.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

struct vs_loader {
	struct tap_bpf *tap;
	struct block_bpf *block;
	struct discover_bpf *discover;
	struct tunfile_bpf *tunfile;
	struct vs_maps maps;
	struct vs_attached attached[VS_PROGRAM__N];
	uint32_t attached_n;
	size_t vnics_size;
};

/* libbpf is talkative about what we try on purpose. */
static int libbpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_DEBUG || vs_log_level() < VS_LOG_DEBUG)
		return 0;
	/* Verifier logs run to many lines: as they are. */
	(void)vfprintf(stderr, fmt, ap);
	return 0;
}

static int make_shared_maps(struct vs_maps *m)
{
	LIBBPF_OPTS(bpf_map_create_opts, lazy, .map_flags = BPF_F_NO_PREALLOC);

	m->lost = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "vs_lost", 4, 8, VS_LOST__N, NULL);
	m->events = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "vs_events", 0, 0, 256 * 1024, NULL);
	m->task = bpf_map_create(BPF_MAP_TYPE_HASH, "vs_task", 4, sizeof(struct vs_vm_ref),
				 VS_VM__N, &lazy);
	if (m->lost < 0 || m->events < 0 || m->task < 0)
		return vs_fail(m->lost < 0 ? m->lost : m->events < 0 ? m->events : m->task,
			       "make the shared BPF maps: %s", strerror(errno));
	return 0;
}

int vs_maps_share(const struct vs_maps *m, struct bpf_object *obj)
{
	const struct {
		const char *name;
		int fd;
	} shared[] = { { "vs_lost", m->lost }, { "vs_events", m->events }, { "vs_task", m->task } };

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, shared[i].name);
		int r = map ? bpf_map__reuse_fd(map, shared[i].fd) : 0;

		if (r)
			return r;
	}
	return 0;
}

static int select_probe(struct bpf_object *obj, const struct vs_plan_probe *p)
{
	for (uint32_t i = 0; i < p->programs_n; i++) {
		struct bpf_program *prog = bpf_object__find_program_by_name(obj, p->programs[i]);

		if (!prog)
			return -ENOENT;
		(void)bpf_program__set_autoload(prog, true);
	}
	return 0;
}

/* Turns on the programs of @plan's probes that live in @object. */
static int select_programs(struct bpf_object *obj, const struct vs_plan *plan, enum vs_object object)
{
	int r = 0;

	for (int i = 0; i < VS_PROBE__COUNT && !r; i++)
		if (plan->probes[i].object == object)
			r = select_probe(obj, &plan->probes[i]);
	return r;
}

static bool wants(const struct vs_plan *plan, enum vs_object object)
{
	for (int i = 0; i < VS_PROBE__COUNT; i++)
		if (plan->probes[i].object == object && plan->probes[i].programs_n)
			return true;
	return false;
}

static int open_tap(struct vs_loader *l, const struct vs_kcaps *caps, uint8_t sample_shift,
		    struct bpf_object **ret)
{
	l->tap = tap_bpf__open();
	if (!l->tap)
		return -errno;
	l->tap->rodata->cfg_has_reason = caps->drop_reason;
	l->tap->rodata->cfg_qdisc_drop = caps->qdisc_drop;
	l->tap->rodata->cfg_sample_shift = sample_shift;
	*ret = l->tap->obj;
	return 0;
}

static int open_discover(struct vs_loader *l, struct bpf_object **ret)
{
	l->discover = discover_bpf__open();
	if (!l->discover)
		return -errno;
	for (int i = 0; vs_vmm_names[i] && i < 15; i++)
		memcpy((void *)&l->discover->rodata->cfg_vmm_prefix[i], vs_vmm_names[i],
		       strnlen(vs_vmm_names[i], 4));
	*ret = l->discover->obj;
	return 0;
}

static int open_object(struct vs_loader *l, const struct vs_kcaps *caps, uint8_t sample_shift,
		       enum vs_object object, struct bpf_object **ret)
{
	switch (object) {
	case VS_OBJECT_TAP:
		return open_tap(l, caps, sample_shift, ret);
	case VS_OBJECT_BLOCK:
		l->block = block_bpf__open();
		if (!l->block)
			return -errno;
		*ret = l->block->obj;
		return 0;
	case VS_OBJECT_DISCOVER:
		return open_discover(l, ret);
	default:
		l->tunfile = tunfile_bpf__open();
		if (!l->tunfile)
			return -errno;
		*ret = l->tunfile->obj;
		return 0;
	}
}

static void close_object(struct vs_loader *l, enum vs_object object)
{
	switch (object) {
	case VS_OBJECT_TAP:
		tap_bpf__destroy(l->tap);
		l->tap = NULL;
		break;
	case VS_OBJECT_BLOCK:
		block_bpf__destroy(l->block);
		l->block = NULL;
		break;
	case VS_OBJECT_DISCOVER:
		discover_bpf__destroy(l->discover);
		l->discover = NULL;
		break;
	default:
		tunfile_bpf__destroy(l->tunfile);
		l->tunfile = NULL;
	}
}

static int load_object(struct vs_loader *l, enum vs_object object)
{
	switch (object) {
	case VS_OBJECT_TAP:
		return tap_bpf__load(l->tap);
	case VS_OBJECT_BLOCK:
		return block_bpf__load(l->block);
	case VS_OBJECT_DISCOVER:
		return discover_bpf__load(l->discover);
	default:
		return tunfile_bpf__load(l->tunfile);
	}
}

int vs_loader_prepare(const struct vs_loader *l, struct bpf_object *obj,
		      const struct vs_plan_probe *probe)
{
	int r = vs_maps_share(&l->maps, obj);

	return r ? r : select_probe(obj, probe);
}

int vs_attach(struct bpf_object *obj, const char *name, struct vs_attached *ret)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	ret->link = bpf_program__attach(prog);
	if (!ret->link)
		return -errno;
	ret->prog_fd = bpf_program__fd(prog);
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	(void)snprintf(ret->hook, sizeof(ret->hook), "%s", bpf_program__section_name(prog));
	return 0;
}

static int attach(struct vs_loader *l, struct bpf_object *obj, const char *name)
{
	struct vs_attached *a = &l->attached[l->attached_n];
	int r = l->attached_n == VS_PROGRAM__N ? -ENOSPC : vs_attach(obj, name, a);

	if (r)
		return r;
	l->attached_n++;
	if (strcmp(name, "vs_files") == 0)
		l->maps.files_iter = bpf_link__fd(a->link);
	return 0;
}

static int map_fd(struct bpf_object *obj, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);

	return map ? bpf_map__fd(map) : -1;
}

/* Links begin to work one by one, so maps must be known before the first. */
static int learn_maps(struct vs_loader *l)
{
	struct vs_maps *m = &l->maps;

	if (l->block && m->disk < 0) {
		m->cgroup = map_fd(l->block->obj, "vs_cgroup");
		m->disk = map_fd(l->block->obj, "vs_disk");
		m->rq_spill = map_fd(l->block->obj, "vs_rq_spill");
	}
	if (l->tap && !m->vnics) {
		void *at;

		m->vnic_id = map_fd(l->tap->obj, "vs_vnic_id");
		m->vnic = map_fd(l->tap->obj, "vs_vnic");
		m->dev = map_fd(l->tap->obj, "vs_dev");
		m->drop = map_fd(l->tap->obj, "vs_drop");
		m->burst = map_fd(l->tap->obj, "vs_burst");
		m->iif = map_fd(l->tap->obj, "vs_iif");
		/* an array's elements lie at multiples of 8 bytes */
		l->vnics_size = ((sizeof(struct vs_vnic) + 7) & ~7ul) * VS_VNIC__N;
		l->vnics_size = (l->vnics_size + 4095) & ~4095ul;
		at = mmap(NULL, l->vnics_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vnic, 0);
		if (at == MAP_FAILED)
			return -errno;
		m->vnics = at;
	}
	return 0;
}

static void mark_failed(struct vs_plan *plan, enum vs_object object, int r)
{
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		struct vs_plan_probe *p = &plan->probes[i];

		if (p->object != object || !p->programs_n)
			continue;
		p->state = VS_STATE_FAILED;
		p->programs_n = 0;
		(void)snprintf(p->reason, sizeof(p->reason), "load: %s", strerror(-r));
		vs_warn("load probe '%s': %s; %s (see virtscope doctor), ignoring", p->name,
			strerror(-r), p->lost);
	}
}

static int bring_up(struct vs_loader *l, const struct vs_kcaps *caps, struct vs_plan *plan,
		    uint8_t sample_shift, enum vs_object object)
{
	struct bpf_object *obj;
	int r = open_object(l, caps, sample_shift, object, &obj);

	if (!r)
		r = vs_maps_share(&l->maps, obj);
	if (!r)
		r = select_programs(obj, plan, object);
	if (!r)
		r = load_object(l, object);
	if (!r)
		r = learn_maps(l);
	return r;
}

/* The raw forms of what the kernel would not take typed. */
static void fall_back(const struct vs_kcaps *caps, struct vs_plan *plan, enum vs_object object)
{
	struct vs_plan raw;

	vs_plan_decide(caps, 1u << VS_HOOK_TP_BTF, &raw);
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		if (plan->probes[i].object != object || !plan->probes[i].programs_n)
			continue;
		plan->probes[i] = raw.probes[i];
		(void)snprintf(plan->probes[i].reason, sizeof(plan->probes[i].reason),
			       "raw_tp: the kernel refused the typed program");
	}
}

static void attach_probes(struct vs_loader *l, struct bpf_object *const objects[VS_OBJECT__N],
			  struct vs_plan *plan)
{
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		struct vs_plan_probe *p = &plan->probes[i];

		for (uint32_t k = 0; k < p->programs_n && p->object < VS_OBJECT__N; k++) {
			int r = attach(l, objects[p->object], p->programs[k]);

			if (!r)
				continue;
			p->state = VS_STATE_FAILED;
			(void)snprintf(p->reason, sizeof(p->reason), "attach %s: %s",
				       p->programs[k], strerror(-r));
			vs_warn("attach program '%s' of probe '%s': %s; %s, ignoring",
				p->programs[k], p->name, strerror(-r), p->lost);
			break;
		}
	}
}

int vs_loader_new(const struct vs_kcaps *caps, struct vs_plan *plan, uint8_t sample_shift,
		  struct vs_loader **ret)
{
	struct vs_loader *l = calloc(1, sizeof(*l));
	struct bpf_object *objects[VS_OBJECT__N] = { 0 };
	int r;

	if (!l)
		return -ENOMEM;
	l->maps = (struct vs_maps){ -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, NULL };
	(void)libbpf_set_print(libbpf_print);
	if (plan->tier == 0) {
		*ret = l;
		return 0;
	}
	r = make_shared_maps(&l->maps);
	if (r) {
		vs_loader_free(&l);
		return r;
	}
	for (int o = 0; o < VS_OBJECT__N; o++) {
		if (!wants(plan, o))
			continue;
		r = bring_up(l, caps, plan, sample_shift, o);
		if (r && o != VS_OBJECT_TUNFILE) {
			close_object(l, o);
			fall_back(caps, plan, o);
			r = bring_up(l, caps, plan, sample_shift, o);
		}
		if (r) {
			close_object(l, o);
			mark_failed(plan, o, r);
		}
	}
	objects[VS_OBJECT_TAP] = l->tap ? l->tap->obj : NULL;
	objects[VS_OBJECT_BLOCK] = l->block ? l->block->obj : NULL;
	objects[VS_OBJECT_DISCOVER] = l->discover ? l->discover->obj : NULL;
	objects[VS_OBJECT_TUNFILE] = l->tunfile ? l->tunfile->obj : NULL;
	vs_loader_bump_epoch(l); /* 0 is no epoch: the cache is full of it */
	attach_probes(l, objects, plan);
	*ret = l;
	return 0;
}

void vs_loader_free(struct vs_loader **loader)
{
	struct vs_loader *l = *loader;

	if (!l)
		return;
	for (uint32_t i = 0; i < l->attached_n; i++)
		(void)bpf_link__destroy(l->attached[i].link);
	if (l->maps.vnics)
		(void)munmap(l->maps.vnics, l->vnics_size);
	for (int o = 0; o < VS_OBJECT__N; o++)
		close_object(l, o);
	vs_cleanup_close(&l->maps.lost);
	vs_cleanup_close(&l->maps.events);
	vs_cleanup_close(&l->maps.task);
	free(l);
	*loader = NULL;
}

const struct vs_maps *vs_loader_maps(const struct vs_loader *loader)
{
	return &loader->maps;
}

void vs_loader_bump_epoch(struct vs_loader *loader)
{
	if (loader->tap)
		__atomic_fetch_add(&loader->tap->bss->vs_epoch, 1, __ATOMIC_SEQ_CST);
}

void vs_loader_set_cgroups(struct vs_loader *loader, uint32_t n)
{
	if (loader->block)
		__atomic_store_n(&loader->block->bss->vs_cgroup_n, n, __ATOMIC_SEQ_CST);
}

uint32_t vs_attached_programs(const struct vs_attached *attached, uint32_t count,
			      struct vs_program_sample *ret, uint32_t size)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count && n < size; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(attached[i].prog_fd, &info, &len))
			continue;
		memcpy(ret[n].name, attached[i].name, sizeof(ret[n].name));
		memcpy(ret[n].hook, attached[i].hook, sizeof(ret[n].hook));
		ret[n].verified_insns = info.verified_insns;
		ret[n].run_time_ns = info.run_time_ns;
		ret[n].run_cnt = info.run_cnt;
		ret[n].recursion_misses = info.recursion_misses;
		n++;
	}
	return n;
}

uint32_t vs_loader_programs(const struct vs_loader *loader, struct vs_program_sample *ret,
			    uint32_t size)
{
	return vs_attached_programs(loader->attached, loader->attached_n, ret, size);
}

bool vs_loader_retry_files(struct vs_loader *l, struct vs_kcaps *caps, unsigned int denied,
			   struct vs_plan *plan)
{
	struct vs_plan_probe *p = &plan->probes[VS_PROBE_DISCOVER_FILES];
	int r;

	if (p->state == VS_STATE_ACTIVE || caps->tun_types || plan->tier == 0)
		return false;
	caps->tun_types = vs_kcaps_tun_types(caps);
	if (!caps->tun_types)
		return false;
	vs_plan_files(caps, denied, p);
	if (!p->programs_n)
		return false;
	r = bring_up(l, caps, plan, 0, VS_OBJECT_TUNFILE);
	if (!r)
		r = attach(l, l->tunfile->obj, p->programs[0]);
	if (!r)
		return true;
	close_object(l, VS_OBJECT_TUNFILE);
	mark_failed(plan, VS_OBJECT_TUNFILE, r);
	return false;
}
