/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/inventory.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "discover/files.h"
#include "discover/netns.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

int vs_inventory_init(struct vs_inventory *inv, struct vs_loop *loop, struct vs_loader *loader,
		      vs_change_fn changed, void *data)
{
	memset(inv, 0, sizeof(*inv));
	inv->links_fd = -1;
	inv->loop = loop;
	inv->loader = loader;
	inv->changed = changed;
	inv->data = data;
	inv->next_uid = 1;
	inv->vm_by_slot = calloc(VS_VM__N, sizeof(*inv->vm_by_slot));
	inv->vnic_by_slot = calloc(VS_VNIC__N, sizeof(*inv->vnic_by_slot));
	if (!inv->vm_by_slot || !inv->vnic_by_slot || vs_slots_init(&inv->vm_slots, VS_VM__N) ||
	    vs_slots_init(&inv->vnic_slots, VS_VNIC__N))
		return vs_fail(ENOMEM, "make the inventory of VMs: %s", strerror(ENOMEM));
	if (vs_netns_cookie(&inv->home_cookie))
		inv->home_cookie = 0;
	inv->links_fd = vs_links_open();
	if (inv->links_fd < 0)
		return vs_fail(inv->links_fd, "open an rtnetlink socket: %s",
			       strerror(-inv->links_fd));
	return 0;
}

static void put(int map, const void *key, const void *value, const char *what)
{
	if (map >= 0 && bpf_map_update_elem(map, key, value, BPF_ANY))
		vs_warn("add to BPF map '%s': %s, ignoring", what, strerror(errno));
}

static void drop(int map, const void *key)
{
	if (map >= 0)
		(void)bpf_map_delete_elem(map, key);
}

static void count_iif(const struct vs_maps *m, uint32_t ifindex, int by)
{
	uint32_t i = ifindex & ((1 << VS_IIF_BITS) - 1), n = 0;

	if (m->iif < 0 || bpf_map_lookup_elem(m->iif, &i, &n))
		return;
	n += (uint32_t)by;
	put(m->iif, &i, &n, "vs_iif");
}

static void forget_cgroups(struct vs_inventory *inv, struct vs_vm_entry *vm)
{
	for (int i = 0; i < vm->cgroups_n; i++)
		drop(vs_loader_maps(inv->loader)->cgroup, &vm->cgroups[i]);
	inv->cgroups -= (uint32_t)vm->cgroups_n;
	vm->cgroups_n = 0;
	vs_loader_set_cgroups(inv->loader, inv->cgroups);
}

/* The process may have been moved, or joined by others, since. */
static void learn_cgroups(struct vs_inventory *inv, struct vs_vm_entry *vm)
{
	struct vs_vm_ref ref = { .vm = vm->slot, .gen = vm->gen };
	uint64_t now[2] = { 0 };
	int n = vm->slot ? vs_proc_cgroups(vm->pid, now) : 0;

	if (n == vm->cgroups_n && memcmp(now, vm->cgroups, (size_t)n * sizeof(now[0])) == 0)
		return;
	forget_cgroups(inv, vm);
	for (int i = 0; i < n; i++) {
		put(vs_loader_maps(inv->loader)->cgroup, &now[i], &ref, "vs_cgroup");
		vm->cgroups[i] = now[i];
	}
	vm->cgroups_n = n;
	inv->cgroups += (uint32_t)n;
	vs_loader_set_cgroups(inv->loader, inv->cgroups);
}

static void remove_vnic(struct vs_inventory *inv, struct vs_vnic_entry *vnic)
{
	const struct vs_maps *m = vs_loader_maps(inv->loader);
	struct vs_vnic_entry **at = &vnic->vm->vnics;

	if (!vnic->gone_ns)
		inv->changed(inv->data, VS_VNIC_DETACHED, vnic->vm, vnic);
	while (*at != vnic)
		at = &(*at)->next;
	*at = vnic->next;
	if (vnic->slot) {
		uint64_t now = vs_clock_mono_ns();

		drop(m->vnic_id, &vnic->id);
		if (vnic->dev)
			drop(m->dev, &vnic->dev);
		count_iif(m, vnic->id.ifindex, -1);
		vs_loader_bump_epoch(inv->loader);
		inv->vnic_by_slot[vnic->slot] = NULL;
		vs_slots_release(&inv->vnic_slots, vnic->slot, now);
		inv->dirty_ns = now;
	}
	free(vnic);
}

static void remove_vm(struct vs_inventory *inv, struct vs_vm_entry *vm)
{
	const struct vs_maps *m = vs_loader_maps(inv->loader);

	inv->changed(inv->data, VS_VM_LEAVING, vm, NULL);
	while (vm->vnics)
		remove_vnic(inv, vm->vnics);
	inv->changed(inv->data, VS_VM_STOPPED, vm, NULL);
	forget_cgroups(inv, vm);
	if (vm->slot) {
		uint64_t now = vs_clock_mono_ns();

		drop(m->task, &vm->pid);
		inv->vm_by_slot[vm->slot] = NULL;
		vs_slots_release(&inv->vm_slots, vm->slot, now);
		inv->dirty_ns = now;
	}
	if (vm->pidfd >= 0) {
		vs_loop_remove(inv->loop, vm->pidfd);
		(void)close(vm->pidfd);
	}
	HASH_DEL(inv->vms, vm);
	free(vm);
}

void vs_inventory_done(struct vs_inventory *inv)
{
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, inv->vms, vm, tmp)
	{
		remove_vm(inv, vm);
	}
	vs_slots_done(&inv->vm_slots);
	vs_slots_done(&inv->vnic_slots);
	free(inv->vm_by_slot);
	free(inv->vnic_by_slot);
	vs_cleanup_close(&inv->links_fd);
	memset(inv, 0, sizeof(*inv));
	inv->links_fd = -1;
}

static void on_process_end(void *data, int fd)
{
	struct vs_inventory *inv = data;
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, inv->vms, vm, tmp)
	{
		if (vm->pidfd == fd) {
			remove_vm(inv, vm);
			return;
		}
	}
}

static void give_vm_slot(struct vs_inventory *inv, struct vs_vm_entry *vm)
{
	const struct vs_maps *m = vs_loader_maps(inv->loader);
	struct vs_vm_ref ref;

	if (vs_slots_alloc(&inv->vm_slots, vs_clock_mono_ns(), &vm->slot, &vm->gen)) {
		inv->slots_full++;
		vs_warn("no slot left for VM pid %u (limit %u): its disks are not told apart, ignoring",
			vm->pid, VS_VM__N - 1);
		return;
	}
	inv->vm_by_slot[vm->slot] = vm;
	ref = (struct vs_vm_ref){ .vm = vm->slot, .gen = vm->gen };
	put(m->task, &vm->pid, &ref, "vs_task");
}

void vs_inventory_rename(struct vs_vm_entry *vm, const char *name)
{
	if (vm->named)
		return;
	if (!name && vm->facts.name[0])
		name = vm->facts.name;
	if (name)
		(void)vs_text_utf8(vm->name, sizeof(vm->name), name, strlen(name));
	else
		(void)snprintf(vm->name, sizeof(vm->name), "qemu-%u", vm->pid);
}

struct vs_vm_entry *vs_inventory_add(struct vs_inventory *inv, uint32_t pid, const char *name,
				     bool found)
{
	struct vs_vm_entry *vm;
	uint64_t start_time;

	if (vs_proc_start_time(pid, &start_time))
		return NULL;
	HASH_FIND(hh, inv->vms, &pid, sizeof(pid), vm);
	if (vm && vm->start_time == start_time) {
		if (name)
			vs_inventory_rename(vm, name);
		return vm;
	}
	if (vm) /* the pid is another process's now */
		remove_vm(inv, vm);
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return NULL;
	(void)vs_proc_cmdline(pid, &vm->facts);
	if (vm->facts.asks_only && !name) {
		free(vm);
		return NULL;
	}
	vm->pid = pid;
	vm->start_time = start_time;
	vm->found = found;
	vm->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (vm->pidfd < 0 || vs_loop_add(inv->loop, vm->pidfd, on_process_end, inv)) {
		vs_debug("watch process %u: %s", pid, strerror(errno));
		vs_cleanup_close(&vm->pidfd);
		free(vm);
		return NULL;
	}
	vm->uid = inv->next_uid++;
	vs_inventory_rename(vm, name);
	vm->named = name;
	HASH_ADD(hh, inv->vms, pid, sizeof(vm->pid), vm);
	give_vm_slot(inv, vm);
	learn_cgroups(inv, vm);
	inv->changed(inv->data, VS_VM_STARTED, vm, NULL);
	return vm;
}

int vs_inventory_link_stats(struct vs_inventory *inv, const struct vs_vnic_entry *vnic,
			    struct vs_link_stats *ret)
{
	struct vs_netns_tour tour = VS_NETNS_TOUR;
	int r;

	if (vnic->host_netns)
		return vs_links_stats(inv->links_fd, vnic->id.ifindex, ret);
	r = vs_netns_visit(&tour, vnic->vm->pid, vnic->tun_fd, vnic->id.netns_cookie);
	if (!r)
		r = vs_links_stats(tour.links_fd, vnic->id.ifindex, ret);
	vs_netns_return(&tour);
	return r;
}

/*
 * The point from which unexplained drops count. Kernel and BPF are read one
 * after the other, so the link's own counter must not move across the moment
 * in which BPF begins to count; on a link that drops all the time a few tries
 * find a quiet moment, or leave an offset of some packets.
 */
static void activate(struct vs_inventory *inv, struct vs_vnic_entry *vnic)
{
	const struct vs_maps *m = vs_loader_maps(inv->loader);
	struct vs_vnic_ref ref = { .vnic = vnic->slot, .gen = vnic->gen };
	struct vs_dev dev = { .netns_cookie = vnic->id.netns_cookie,
			      .ifindex = vnic->id.ifindex,
			      .vnic = vnic->slot,
			      .gen = vnic->gen };
	struct vs_link_stats before;

	for (int i = 0; i < 4; i++) {
		int r = vs_inventory_link_stats(inv, vnic, &before);

		if (vnic->dev)
			put(m->dev, &vnic->dev, &dev, "vs_dev");
		put(m->vnic_id, &vnic->id, &ref, "vs_vnic_id");
		vs_loader_bump_epoch(inv->loader);
		if (r || vs_inventory_link_stats(inv, vnic, &vnic->base_link))
			return;
		vnic->has_base = true;
		if (memcmp(before.dropped, vnic->base_link.dropped, sizeof(before.dropped)) == 0)
			return;
		/* Start over with a generation whose rows are empty. */
		ref.gen = dev.gen = vnic->gen = ++inv->vnic_slots.gen[vnic->slot];
		m->vnics[vnic->slot].gen = vnic->gen;
		inv->dirty_ns = vs_clock_mono_ns();
	}
}

static void give_vnic_slot(struct vs_inventory *inv, struct vs_vnic_entry *vnic)
{
	const struct vs_maps *m = vs_loader_maps(inv->loader);
	struct vs_vnic *shared;

	if (!m->vnics)
		return;
	if (vs_slots_alloc(&inv->vnic_slots, vs_clock_mono_ns(), &vnic->slot, &vnic->gen)) {
		inv->slots_full++;
		vs_warn("no slot left for vNIC '%s' of VM pid %u (limit %u): totals only, ignoring",
			vnic->name, vnic->vm->pid, VS_VNIC__N - 1);
		return;
	}
	inv->vnic_by_slot[vnic->slot] = vnic;
	shared = &m->vnics[vnic->slot];
	shared->gen = vnic->gen;
	vnic->base = *shared;
	shared->sample_shift = 0;
	shared->sample_taken = 0;
	count_iif(m, vnic->id.ifindex, 1);
	activate(inv, vnic);
}

/* A persistent tap that one VM closed and another opened is the other's. */
static void release_lingering(struct vs_inventory *inv, const struct vs_file *row)
{
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, inv->vms, vm, tmp)
	{
		for (struct vs_vnic_entry *n = vm->vnics; n; n = n->next)
			if (n->gone_ns && n->id.netns_cookie == row->netns_cookie &&
			    n->id.ifindex == row->ifindex) {
				remove_vnic(inv, n);
				return;
			}
	}
}

static void add_vnic(struct vs_inventory *inv, struct vs_vm_entry *vm, const struct vs_file *row)
{
	struct vs_vnic_entry *vnic, **at;

	for (vnic = vm->vnics; vnic; vnic = vnic->next)
		if (vnic->id.netns_cookie == row->netns_cookie && vnic->id.ifindex == row->ifindex) {
			vnic->seen = true;
			vnic->tun_fd = row->fd;
			if (vnic->gone_ns)
				inv->changed(inv->data, VS_VNIC_ATTACHED, vm, vnic);
			vnic->gone_ns = 0;
			return;
		}
	release_lingering(inv, row);
	vnic = calloc(1, sizeof(*vnic));
	if (!vnic)
		return;
	vnic->uid = inv->next_uid++;
	vnic->vm = vm;
	vnic->id.netns_cookie = row->netns_cookie;
	vnic->id.ifindex = row->ifindex;
	vnic->dev = row->dev;
	vnic->tun_fd = row->fd;
	vnic->host_netns = inv->home_cookie && row->netns_cookie == inv->home_cookie;
	vnic->netns_inum = vnic->host_netns ? 0 : row->netns_inum;
	vnic->seen = true;
	(void)vs_text_utf8(vnic->name, sizeof(vnic->name), row->name,
			   strnlen(row->name, sizeof(row->name)));
	for (at = &vm->vnics; *at && (*at)->id.ifindex < row->ifindex;)
		at = &(*at)->next;
	vnic->next = *at;
	*at = vnic;
	give_vnic_slot(inv, vnic);
	inv->changed(inv->data, VS_VNIC_ATTACHED, vm, vnic);
}

struct scan {
	struct vs_inventory *inv;
	bool found;
	struct vs_file *taps;
	size_t n, size;
};

static void on_file(void *data, const struct vs_file *row)
{
	struct scan *s = data;

	if (row->kind == VS_FILE_KVM) {
		(void)vs_inventory_add(s->inv, row->pid, NULL, s->found);
		return;
	}
	if (row->kind == VS_FILE_VHOST) {
		struct vs_vm_entry *vm;

		HASH_FIND(hh, s->inv->vms, &row->pid, sizeof(row->pid), vm);
		if (vm)
			vm->uses_vhost = true;
		return;
	}
	if (s->n == s->size) {
		size_t more = s->size ? s->size * 2 : 64;
		void *grown = reallocarray(s->taps, more, sizeof(*s->taps));

		if (!grown)
			return;
		s->taps = grown;
		s->size = more;
	}
	s->taps[s->n++] = *row;
}

void vs_inventory_scan_files(struct vs_inventory *inv, bool found)
{
	struct scan s = { .inv = inv, .found = found };
	uint64_t now = vs_clock_mono_ns();
	struct vs_vm_entry *vm, *tmp;
	int r;

	HASH_ITER(hh, inv->vms, vm, tmp)
	{
		vm->uses_vhost = false;
		for (struct vs_vnic_entry *n = vm->vnics; n; n = n->next)
			n->seen = false;
	}
	r = vs_files_scan(vs_loader_maps(inv->loader)->files_iter, on_file, &s);
	if (r) {
		vs_warn("look through open files: %s; VMs and vNICs may be missing, ignoring",
			strerror(-r));
		free(s.taps);
		return;
	}
	for (size_t i = 0; i < s.n; i++) {
		HASH_FIND(hh, inv->vms, &s.taps[i].pid, sizeof(s.taps[i].pid), vm);
		if (vm)
			add_vnic(inv, vm, &s.taps[i]);
	}
	free(s.taps);
	HASH_ITER(hh, inv->vms, vm, tmp)
	{
		for (struct vs_vnic_entry *n = vm->vnics, *next; n; n = next) {
			next = n->next;
			if (n->seen)
				continue;
			if (!n->gone_ns) {
				n->gone_ns = now;
				inv->changed(inv->data, VS_VNIC_DETACHED, vm, n);
			} else if (now - n->gone_ns > VS_VNIC_LINGER_NS) {
				remove_vnic(inv, n);
			}
		}
		learn_cgroups(inv, vm);
	}
}

static void on_process(void *data, uint32_t pid)
{
	struct scan *s = data;

	if (vs_proc_is_vmm(pid))
		(void)vs_inventory_add(s->inv, pid, NULL, s->found);
}

void vs_inventory_scan_processes(struct vs_inventory *inv, bool found)
{
	struct scan s = { .inv = inv, .found = found };

	(void)vs_proc_each(on_process, &s);
}

bool vs_inventory_uses_vhost(const struct vs_inventory *inv)
{
	const struct vs_vm_entry *vm;

	for (vm = inv->vms; vm; vm = vm->hh.next)
		if (vm->uses_vhost)
			return true;
	return false;
}
