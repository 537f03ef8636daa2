/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/live.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "discover/disks.h"
#include "discover/uevent.h"
#include "probe/deep.h"
#include "probe/ksyms.h"
#include "probe/vhost.h"
#include "source/collect.h"
#include "source/threads.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>

/* After a hint that something changed: QEMU opens its taps some time after the
 * link and the VM exist, libvirt moves it into its cgroup later still. */
static const uint64_t rescan_after_ns[] = { 100000000, 500000000, 2000000000, 5000000000 };
#define RESCAN__N (sizeof(rescan_after_ns) / sizeof(rescan_after_ns[0]))
/* In case that every hint was lost; and where exec gives none. */
#define SAFETY_SCAN_NS	 (60 * VS_NS_PER_S)
#define BLIND_SCAN_NS	 (5 * VS_NS_PER_S)

struct vs_live {
	struct vs_loop *loop;
	struct vs_live_ops ops;
	struct vs_kcaps caps;
	struct vs_plan plan;
	struct vs_loader *loader;
	struct vs_inventory inv;
	struct vs_vhost_probe *vhost;
	struct vs_collect *collect;
	struct vs_domains *domains;
	struct vs_threads *threads;
	struct vs_deep *deep; /* while a deep window is open */
	uint32_t deep_windows;
	struct ring_buffer *ring;
	int uevent_fd, monitor_fd;
	unsigned int denied;
	int rescan_timer;
	int vhost_timer; /* when the probe of vhost is to be detached */
	uint64_t rescan_at_ns[RESCAN__N]; /* 0: not due */
	uint32_t windows;	   /* reports under way */
	struct vs_sample departed; /* VMs that ended during them */
	struct vs_sample scratch;
};

static void arm_rescan(struct vs_live *live)
{
	uint64_t now = vs_clock_mono_ns(), first = 0;

	for (size_t i = 0; i < RESCAN__N; i++)
		if (live->rescan_at_ns[i] && (!first || live->rescan_at_ns[i] < first))
			first = live->rescan_at_ns[i];
	if (first)
		vs_loop_arm(live->rescan_timer, first > now ? first - now : 0);
}

static void want_rescan(struct vs_live *live)
{
	uint64_t now = vs_clock_mono_ns();

	for (size_t i = 0; i < RESCAN__N; i++)
		if (!live->rescan_at_ns[i])
			live->rescan_at_ns[i] = now + rescan_after_ns[i];
	arm_rescan(live);
}

/* Probes of modules are there while a VM uses the module. */
static void follow_use(struct vs_live *live)
{
	const struct vs_plan_probe *row = &live->plan.probes[VS_PROBE_VHOST_WORKER];
	enum vs_state was = row->state;
	bool in_use = vs_inventory_uses_vhost(&live->inv);
	uint64_t after = vs_vhost_probe_update(live->vhost, in_use, vs_clock_mono_ns());

	if (in_use && row->state != was && row->state != VS_STATE_ACTIVE && live->ops.degraded)
		live->ops.degraded(live->ops.data, row);
	if (after)
		vs_loop_arm(live->vhost_timer, after);
}

static void on_vhost_timer(void *data, int fd)
{
	(void)fd;
	follow_use(data);
}

static void scan_files(struct vs_live *live, bool found)
{
	vs_inventory_scan_files(&live->inv, found);
	follow_use(live);
}

static void on_rescan(void *data, int fd)
{
	struct vs_live *live = data;
	uint64_t now = vs_clock_mono_ns();

	(void)fd;
	for (size_t i = 0; i < RESCAN__N; i++)
		if (live->rescan_at_ns[i] && live->rescan_at_ns[i] <= now)
			live->rescan_at_ns[i] = 0;
	scan_files(live, false);
	arm_rescan(live);
}

static void on_safety_scan(void *data, int fd)
{
	struct vs_live *live = data;

	(void)fd;
	vs_inventory_scan_processes(&live->inv, false);
	scan_files(live, false);
}

static void on_uevent_vm(void *data, uint32_t pid)
{
	struct vs_live *live = data;

	/* Also said when a VM ends: then the process is gone, or closing. */
	(void)pid;
	want_rescan(live);
}

static void on_uevent_module(void *data)
{
	struct vs_live *live = data;

	vs_collect_modules_changed(live->collect);
	vs_vhost_probe_modules_changed(live->vhost);
	if (vs_loader_retry_files(live->loader, &live->caps, live->denied, &live->plan))
		want_rescan(live);
}

static void on_uevent(void *data, int fd)
{
	struct vs_live *live = data;
	const struct vs_uevent_ops ops = { on_uevent_vm, on_uevent_module, live };

	if (!vs_uevent_read(fd, &ops))
		return;
	on_uevent_module(live);
	want_rescan(live);
}

static void on_links(void *data, int fd)
{
	struct vs_live *live = data;

	if (vs_links_monitor_read(fd))
		want_rescan(live);
}

static int on_bpf_event(void *data, void *bytes, size_t size)
{
	struct vs_live *live = data;
	const struct vs_event *e = bytes;
	const struct vs_vnic_entry *vnic;

	if (size < sizeof(*e))
		return 0;
	switch (e->type) {
	case VS_EVENT_EXEC:
		if (vs_proc_is_vmm(e->pid))
			(void)vs_inventory_add(&live->inv, e->pid, NULL, false);
		want_rescan(live);
		break;
	case VS_EVENT_TAP:
		want_rescan(live);
		break;
	case VS_EVENT_BURST:
		vnic = live->inv.vnic_by_slot[e->burst.vnic % VS_VNIC__N];
		if (vnic && vnic->gen == e->burst.gen && live->ops.burst)
			live->ops.burst(live->ops.data, vnic->uid, e->burst.reason);
		break;
	}
	return 0;
}

static void on_ring(void *data, int fd)
{
	struct vs_live *live = data;

	(void)fd;
	(void)ring_buffer__consume(live->ring);
}

static void keep_last_figures(struct vs_live *live, const struct vs_vm_entry *vm)
{
	if (!live->windows ||
	    vs_collect_fill(live->collect, &live->scratch, live->ops.disk_seen, live->ops.data) < 0)
		return;
	if (vs_sample_copy_vm(&live->departed, &live->scratch, vm->uid))
		vs_warn("keep the last figures of VM pid %u: out of memory, ignoring", vm->pid);
}

static void on_change(void *data, enum vs_change change, const struct vs_vm_entry *vm,
		      const struct vs_vnic_entry *vnic)
{
	struct vs_live *live = data;

	if (change == VS_VM_LEAVING) {
		keep_last_figures(live, vm);
		return;
	}
	if (change == VS_VM_STOPPED)
		/* A VMM that put itself into the background ends its first
		 * process; the guest goes on in the child. */
		want_rescan(live);
	if (change == VS_VM_STARTED)
		vs_domains_match(live->domains, vm->pid);
	if (live->ops.changed)
		live->ops.changed(live->ops.data, change, vm, vnic);
}

static int listen(struct vs_live *live)
{
	const struct vs_maps *m = vs_loader_maps(live->loader);
	bool blind = m->events < 0 ||
		     live->plan.probes[VS_PROBE_DISCOVER_EXEC].state < VS_STATE_FALLBACK;
	int r;

	live->rescan_timer = vs_loop_timer(live->loop, on_rescan, live);
	live->vhost_timer = vs_loop_timer(live->loop, on_vhost_timer, live);
	if (live->rescan_timer < 0 || live->vhost_timer < 0)
		return live->rescan_timer < 0 ? live->rescan_timer : live->vhost_timer;
	r = vs_loop_every(live->loop, blind ? BLIND_SCAN_NS : SAFETY_SCAN_NS, on_safety_scan, live);
	if (r < 0)
		return r;
	live->uevent_fd = vs_uevent_open();
	if (live->uevent_fd < 0 || vs_loop_add(live->loop, live->uevent_fd, on_uevent, live))
		vs_warn("listen to KVM's uevents: %s; VMs are found by their exec only, ignoring",
			strerror(errno));
	live->monitor_fd = vs_links_monitor_open();
	if (live->monitor_fd < 0 || vs_loop_add(live->loop, live->monitor_fd, on_links, live))
		vs_warn("listen to rtnetlink: %s; new vNICs may show late, ignoring",
			strerror(errno));
	if (m->events < 0)
		return 0;
	live->ring = ring_buffer__new(m->events, on_bpf_event, live, NULL);
	if (!live->ring)
		return -errno;
	return vs_loop_add(live->loop, ring_buffer__epoll_fd(live->ring), on_ring, live);
}

int vs_live_new(struct vs_loop *loop, const struct vs_live_options *options,
		const struct vs_live_ops *ops, struct vs_live **ret)
{
	struct vs_live *live = calloc(1, sizeof(*live));
	int r;

	if (!live)
		return -ENOMEM;
	live->loop = loop;
	live->uevent_fd = live->monitor_fd = -1;
	live->denied = options->denied;
	if (ops)
		live->ops = *ops;
	/* First, so that libvirt can answer while the kernel is asked. */
	r = vs_domains_new(loop, &live->inv, options->libvirt, options->labels, live->ops.news,
			   live->ops.data, &live->domains);
	if (!r)
		r = vs_kcaps_probe(&live->caps);
	if (!r) {
		vs_plan_decide(&live->caps, options->denied, &live->plan);
		r = vs_loader_new(&live->caps, &live->plan, options->sample_shift, &live->loader);
	}
	if (!r)
		r = vs_inventory_init(&live->inv, loop, live->loader, on_change, live);
	if (!r)
		r = vs_vhost_probe_new(&live->caps, options->denied, live->loader,
				       &live->plan.probes[VS_PROBE_VHOST_WORKER], &live->vhost);
	if (!r)
		r = vs_collect_new(&live->inv, &live->caps, &live->plan, live->vhost,
				   &live->collect);
	if (!r)
		r = vs_threads_new(&live->inv, &live->plan, &live->threads);
	if (!r)
		r = listen(live);
	if (r) {
		vs_error("start the probe: %s", strerror(-r));
		vs_live_free(&live);
		return r;
	}
	for (uint32_t i = 0; i < options->forced_n; i++)
		if (!vs_inventory_add(&live->inv, options->forced[i].pid, options->forced[i].name, true))
			vs_warn("--vm %s=%u: there is no such process, ignoring",
				options->forced[i].name, options->forced[i].pid);
	vs_inventory_scan_processes(&live->inv, true);
	scan_files(live, true);
	/* What was needed to load is not needed to watch: to the kernel with it. */
	vs_kcaps_forget_types(&live->caps);
	(void)malloc_trim(0);
	*ret = live;
	return 0;
}

void vs_live_free(struct vs_live **l)
{
	struct vs_live *live = *l;

	if (!live)
		return;
	live->ops = (struct vs_live_ops){ 0 };
	ring_buffer__free(live->ring);
	vs_collect_free(&live->collect);
	vs_threads_free(&live->threads);
	vs_deep_close(&live->deep);
	live->windows = 0;
	vs_domains_free(&live->domains);
	if (live->inv.vm_by_slot)
		vs_inventory_done(&live->inv);
	vs_sample_done(&live->departed);
	vs_sample_done(&live->scratch);
	vs_vhost_probe_free(&live->vhost);
	vs_loader_free(&live->loader);
	vs_kcaps_done(&live->caps);
	vs_cleanup_close(&live->uevent_fd);
	vs_cleanup_close(&live->monitor_fd);
	free(live);
	*l = NULL;
}

const struct vs_plan *vs_live_plan(const struct vs_live *live)
{
	return &live->plan;
}

const struct vs_libvirt *vs_live_libvirt(const struct vs_live *live)
{
	return vs_domains_libvirt(live->domains);
}

const struct vs_vm_entry *vs_live_vm(const struct vs_live *live, uint64_t uid)
{
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, live->inv.vms, vm, tmp)
	{
		if (vm->uid == uid)
			return vm;
	}
	return NULL;
}

void vs_live_window_open(struct vs_live *live)
{
	live->windows++;
}

void vs_live_window_close(struct vs_live *live)
{
	if (--live->windows == 0)
		vs_sample_clear(&live->departed);
}

/* Who was seen serving a virtqueue is a worker, whatever it is called. */
static void name_worker(struct vs_live *live, const struct vs_virtq_sample *v)
{
	const struct vs_vm_entry *vm = live->inv.vm_by_slot[v->row.vm];

	if (!v->ended && vm && vs_threads_add_worker(live->threads, v->key.tid, vm))
		vs_debug("note worker %u: out of memory", v->key.tid);
}

int vs_live_sample(struct vs_live *live, enum vs_look look, struct vs_sample *ret)
{
	int r = vs_collect_fill(live->collect, ret, live->ops.disk_seen, live->ops.data);
	const uint64_t begin = ret->mono_ns;

	vs_domains_fill_probe(live->domains, &ret->self);
	for (size_t i = 0; r >= 0 && i < ret->virtqs_n; i++)
		name_worker(live, &ret->virtqs[i]);
	if (r >= 0 && vs_threads_fill(live->threads, look, ret))
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && i < live->departed.vms_n; i++)
		if (vs_sample_copy_vm(ret, &live->departed, live->departed.vms[i].uid))
			r = -ENOMEM;
	if (live->departed.vms_n)
		vs_sample_sort(ret);
	/* A link that could not be read has probably gone. */
	if (r > 0)
		want_rescan(live);
	vs_inventory_tidy(&live->inv, ret->mono_ns);
	ret->self.took_ns = vs_clock_mono_ns() - begin;
	return r < 0 ? r : 0;
}

int vs_live_deep_open(struct vs_live *live, const struct vs_sample *s, struct vs_deep_sample *ret)
{
	int r = 0;

	if (!live->deep)
		r = vs_deep_open(vs_loader_maps(live->loader), &live->plan, s->threads_n, &live->deep);
	if (r)
		return vs_fail(r, "open a deep window: %s",
			       r == -ENOTSUP ? live->plan.probes[VS_PROBE_SCHED_DEEP].reason :
					       strerror(-r));
	live->deep_windows++;
	r = vs_deep_watch(live->deep, s);
	if (r > 0)
		vs_warn("watch the threads of VMs: no room for %d of them, ignoring", r);
	r = r < 0 ? r : vs_deep_read(live->deep, ret);
	if (!r)
		r = vs_deep_start(live->deep);
	if (!r)
		return 0;
	vs_deep_sample_done(ret);
	vs_live_deep_close(live);
	return vs_fail(r, "open a deep window: %s", strerror(-r));
}

int vs_live_deep_read(struct vs_live *live, struct vs_deep_sample *ret)
{
	if (live->deep_windows == 1)
		vs_deep_stop(live->deep);
	return vs_deep_read(live->deep, ret);
}

void vs_live_deep_close(struct vs_live *live)
{
	if (--live->deep_windows == 0)
		vs_deep_close(&live->deep);
}
