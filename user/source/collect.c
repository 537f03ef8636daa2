/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/collect.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/log.h"
#include "discover/disks.h"
#include "discover/netns.h"
#include "probe/ksyms.h"
#include "probe/rooms.h"
#include "source/domains.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

/* Enough to read most hosts' maps in one call each. */
#define BATCH 256

struct disk_entry {
	uint32_t dev;
	struct vs_disk_info info;
	UT_hash_handle hh;
};

struct seen_entry {
	struct {
		uint64_t vm_uid;
		uint32_t dev;
		uint32_t pad;
	} key;
	UT_hash_handle hh;
};

struct vs_collect {
	struct vs_inventory *inv;
	struct vs_kcaps *caps;
	const struct vs_plan *plan;
	const struct vs_vhost_probe *vhost;
	struct vs_virtq_batch virtqs;
	struct vs_ksyms *ksyms;
	struct disk_entry *disks; /* by dev; never dropped, samples point here */
	struct seen_entry *seen;
	struct vs_self_reader own;
	struct vs_drop_key *drop_keys;
	uint64_t *drop_counts;
	size_t drops_n;
	struct vs_disk_key *disk_keys;
	struct vs_disk_row *disk_rows;
	/* per vNIC slot: drops that the kernel counts too, since activation */
	uint64_t (*explained)[2];
	uint64_t *noop; /* per vNIC slot: refused by the noop qdisc */
	enum { NOOP_UNKNOWN, NOOP_COUNTED, NOOP_UNCOUNTED } noop_rule;
};

int vs_collect_new(struct vs_inventory *inv, struct vs_kcaps *caps, const struct vs_plan *plan,
		   const struct vs_vhost_probe *vhost, struct vs_collect **ret)
{
	struct vs_collect *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->inv = inv;
	c->caps = caps;
	c->plan = plan;
	c->vhost = vhost;
	c->drop_keys = calloc(VS_DROP__N, sizeof(*c->drop_keys));
	c->drop_counts = calloc(VS_DROP__N, sizeof(*c->drop_counts));
	c->disk_keys = calloc(BATCH, sizeof(*c->disk_keys));
	c->disk_rows = calloc(BATCH, sizeof(*c->disk_rows));
	c->explained = calloc(VS_VNIC__N, sizeof(*c->explained));
	c->noop = calloc(VS_VNIC__N, sizeof(*c->noop));
	if (!c->drop_keys || !c->drop_counts || !c->disk_keys || !c->disk_rows ||
	    !c->explained || !c->noop || vs_ksyms_new(&c->ksyms)) {
		vs_collect_free(&c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void vs_collect_free(struct vs_collect **collect)
{
	struct vs_collect *c = *collect;
	struct disk_entry *d, *dt;
	struct seen_entry *s, *st;

	if (!c)
		return;
	HASH_ITER(hh, c->disks, d, dt)
	{
		HASH_DEL(c->disks, d);
		free(d);
	}
	HASH_ITER(hh, c->seen, s, st)
	{
		HASH_DEL(c->seen, s);
		free(s);
	}
	vs_virtq_batch_done(&c->virtqs);
	vs_ksyms_free(&c->ksyms);
	free(c->drop_keys);
	free(c->drop_counts);
	free(c->disk_keys);
	free(c->disk_rows);
	vs_self_reader_done(&c->own);
	free(c->explained);
	free(c->noop);
	free(c);
	*collect = NULL;
}

void vs_collect_modules_changed(struct vs_collect *c)
{
	vs_ksyms_modules_changed(c->ksyms);
}

static bool works(const struct vs_collect *c, enum vs_probe probe)
{
	return c->plan->probes[probe].state >= VS_STATE_FALLBACK;
}

static int fill_vms(struct vs_collect *c, struct vs_sample *s)
{
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, c->inv->vms, vm, tmp)
	{
		struct vs_vm_sample *v = vs_sample_add_vm(s);

		if (!v)
			return -ENOMEM;
		v->uid = vm->uid;
		v->pid = vm->pid;
		v->vcpus = vm->facts.vcpus;
		vs_domains_fill_vm(vm, v);
	}
	return 0;
}

/* Reads all drop rows once; rows of vNICs that are gone are deleted. */
static void read_drops(struct vs_collect *c)
{
	int fd = vs_loader_maps(c->inv->loader)->drop;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint64_t position = 0; /* the kernel's own: opaque, any hash fits into 8 bytes */
	size_t n = 0;
	int r = 0;

	c->drops_n = 0;
	if (fd < 0)
		return;
	while (!r && n < VS_DROP__N) {
		uint32_t count = (uint32_t)(VS_DROP__N - n);

		r = bpf_map_lookup_batch(fd, n ? &position : NULL, &position, c->drop_keys + n,
					 c->drop_counts + n, &count, &opts);
		if (r && errno != ENOENT)
			break;
		n += count;
	}
	for (size_t i = 0; i < n; i++) {
		const struct vs_drop_key *k = &c->drop_keys[i];
		bool alive;

		if (k->flags & VS_DROP_NODEV)
			alive = k->vnic < VS_VM__N && c->inv->vm_by_slot[k->vnic] &&
				c->inv->vm_by_slot[k->vnic]->gen == k->gen;
		else
			alive = k->vnic == VS_NONE ||
				(k->vnic < VS_VNIC__N && c->inv->vnic_by_slot[k->vnic] &&
				 c->inv->vnic_by_slot[k->vnic]->gen == k->gen);
		if (!alive) {
			(void)bpf_map_delete_elem(fd, k);
			continue;
		}
		c->drop_keys[c->drops_n] = *k;
		c->drop_counts[c->drops_n++] = c->drop_counts[i];
	}
}

/* Rows of one place that differ in what BPF knew stay apart. */
static uint64_t address_of(const struct vs_drop_key *k)
{
	return k->location ^ ((uint64_t)k->flags << 56);
}

/* The vNIC that a frame without a device came from: the writer's, if it has
 * just one. */
static const struct vs_vnic_entry *only_vnic(const struct vs_collect *c, uint32_t vm_slot)
{
	const struct vs_vm_entry *vm = c->inv->vm_by_slot[vm_slot];

	return vm->vnics && !vm->vnics->next ? vm->vnics : NULL;
}

/* Nobody's rows of several VMs may be alike: they are one. */
static struct vs_drop_sample *unattributed_like(struct vs_sample *s, const struct vs_drop_key *k,
						const char *symbol)
{
	for (size_t i = 0; i < s->drops_n; i++) {
		struct vs_drop_sample *d = &s->drops[i];

		if (!d->vnic_uid && d->raw_reason == k->reason && d->location == symbol &&
		    d->address == address_of(k))
			return d;
	}
	return NULL;
}

static int fill_drops(struct vs_collect *c, struct vs_sample *s)
{
	vs_autofree uint64_t *addresses = NULL;

	memset(c->explained, 0, VS_VNIC__N * sizeof(*c->explained));
	memset(c->noop, 0, VS_VNIC__N * sizeof(*c->noop));
	read_drops(c);
	if (!c->drops_n)
		return 0;
	addresses = calloc(c->drops_n, sizeof(*addresses));
	if (!addresses)
		return -ENOMEM;
	for (size_t i = 0; i < c->drops_n; i++)
		addresses[i] = c->drop_keys[i].location;
	vs_ksyms_resolve(c->ksyms, addresses, c->drops_n);
	for (size_t i = 0; i < c->drops_n; i++) {
		const struct vs_drop_key *k = &c->drop_keys[i];
		const char *symbol = vs_ksyms_name(c->ksyms, k->location);
		const char *reason = vs_kcaps_reason(c->caps, k->reason);
		struct vs_drop_kind kind = vs_drop_classify(reason, symbol, k->direction, k->flags);
		const struct vs_vnic_entry *vnic = NULL;
		struct vs_drop_sample *d;

		if (k->flags & VS_DROP_NODEV) {
			/* Everything that a VMM's thread frees without a device
			 * comes here; only the tap driver's frames are a vNIC's. */
			if (kind.site != VS_SITE_TAP)
				continue;
			vnic = only_vnic(c, k->vnic);
		} else if (k->vnic != VS_NONE) {
			vnic = c->inv->vnic_by_slot[k->vnic];
		}
		if (!vnic && (d = unattributed_like(s, k, symbol))) {
			d->count += c->drop_counts[i];
			continue;
		}
		d = vs_sample_add_drop(s);
		if (!d)
			return -ENOMEM;
		d->vnic_uid = vnic ? vnic->uid : 0;
		d->kind = kind;
		d->reason = reason;
		d->location = symbol;
		d->address = address_of(k);
		d->raw_reason = k->reason;
		d->count = c->drop_counts[i];
		if (vnic && kind.kernel_counts)
			c->explained[vnic->slot][kind.direction & 1] += d->count;
		if (vnic && kind.by_noop)
			c->noop[vnic->slot] += d->count;
	}
	return 0;
}

static void fill_from_slot(struct vs_collect *c, const struct vs_vnic_entry *e,
			   struct vs_vnic_sample *n)
{
	const struct vs_maps *m = vs_loader_maps(c->inv->loader);
	const struct vs_vnic *now = &m->vnics[e->slot], *base = &e->base;

	n->has_drops = works(c, VS_PROBE_TAP_DROPS);
	n->has_residence = works(c, VS_PROBE_TAP_RESIDENCE);
	for (int dir = 0; dir < 2; dir++)
		n->drops_untold[dir] = now->drops_untold[dir] - base->drops_untold[dir];
	n->samples = now->samples - base->samples;
	n->sample_lost = (now->sample_collision - base->sample_collision) +
			 (now->sample_aged - base->sample_aged);
	vs_hist_diff(&now->residence, &base->residence, &n->residence);
}

/*
 * Of @left, what the tap's tx_dropped holds beyond other drops, @refused are the
 * noop qdisc's, if this kernel counts them there at all. Nothing but the first
 * equality tells; until then they are taken to be.
 */
static int64_t less_noop(struct vs_collect *c, int64_t left, uint64_t refused)
{
	if (refused && c->noop_rule == NOOP_UNKNOWN && left == (int64_t)refused)
		c->noop_rule = NOOP_COUNTED;
	else if (refused && c->noop_rule == NOOP_UNKNOWN && left == 0)
		c->noop_rule = NOOP_UNCOUNTED;
	return c->noop_rule == NOOP_UNCOUNTED ? left : left - (int64_t)refused;
}

static void fill_from_link(struct vs_collect *c, const struct vs_vnic_entry *e,
			   const struct vs_link_stats *link, struct vs_vnic_sample *n)
{
	n->has_link = true;
	for (int dir = 0; dir < 2; dir++) {
		n->packets[dir] = link->packets[dir];
		n->bytes[dir] = link->bytes[dir];
		n->kernel_dropped[dir] = link->dropped[dir];
		if (e->slot && e->has_base)
			n->unexplained[dir] =
				(int64_t)(link->dropped[dir] - e->base_link.dropped[dir]) -
				(int64_t)(c->explained[e->slot][dir] + n->drops_untold[dir]);
		if (e->slot && e->has_base && dir == VS_DIR_RX)
			n->unexplained[dir] = less_noop(c, n->unexplained[dir], c->noop[e->slot]);
	}
	/* What came before we did is not ours to count. */
	if (e->has_base)
		for (int dir = 0; dir < 2; dir++) {
			n->packets[dir] -= e->base_link.packets[dir];
			n->bytes[dir] -= e->base_link.bytes[dir];
			n->kernel_dropped[dir] -= e->base_link.dropped[dir];
		}
}

/* Return: 0, 1 if the link could not be read, -ENOMEM. */
static int fill_vnic(struct vs_collect *c, const struct vs_vnic_entry *e, uint32_t index,
		     struct vs_netns_tour *tour, struct vs_sample *s)
{
	struct vs_vnic_sample *n = vs_sample_add_vnic(s);
	struct vs_link_stats link;
	int fd = c->inv->links_fd, r = 0;

	if (!n)
		return -ENOMEM;
	n->uid = e->uid;
	n->vm_uid = e->vm->uid;
	memcpy(n->name, e->name, sizeof(n->name));
	vs_domains_fill_vnic(e, n);
	n->ifindex = e->id.ifindex;
	n->attached = !e->gone_ns;
	n->netns_inum = e->netns_inum;
	n->index = index;
	n->vhost_blind = e->vm->uses_vhost && !works(c, VS_PROBE_VHOST_WORKER);
	if (e->slot)
		fill_from_slot(c, e, n);
	if (!e->host_netns) {
		r = vs_netns_visit(tour, e->vm->pid, e->tun_fd, e->id.netns_cookie);
		fd = tour->links_fd;
	}
	if (!r)
		r = vs_links_stats(fd, e->id.ifindex, &link);
	if (r)
		return !e->gone_ns;
	fill_from_link(c, e, &link, n);
	return 0;
}

/* Return: 0, 1 if a link could not be read, -ENOMEM. */
static int fill_vnics(struct vs_collect *c, struct vs_sample *s)
{
	struct vs_netns_tour tour = VS_NETNS_TOUR;
	struct vs_vm_entry *vm, *tmp;
	int missing = 0, r = 0;

	HASH_ITER(hh, c->inv->vms, vm, tmp)
	{
		uint32_t index = 0;

		for (struct vs_vnic_entry *e = vm->vnics; e && r >= 0; e = e->next) {
			r = fill_vnic(c, e, index++, &tour, s);
			missing |= r > 0;
		}
	}
	vs_netns_return(&tour);
	return r < 0 ? r : missing;
}

static struct disk_entry *disk_of(struct vs_collect *c, uint32_t dev)
{
	struct disk_entry *d;

	HASH_FIND(hh, c->disks, &dev, sizeof(dev), d);
	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->dev = dev;
	vs_disks_describe(dev, &d->info);
	HASH_ADD(hh, c->disks, dev, sizeof(d->dev), d);
	return d;
}

static void note_seen(struct vs_collect *c, const struct vs_vm_entry *vm, struct disk_entry *d,
		      vs_disk_seen_fn seen, void *data)
{
	struct seen_entry *s;
	struct seen_entry like = { .key = { .vm_uid = vm->uid, .dev = d->dev } };

	HASH_FIND(hh, c->seen, &like.key, sizeof(like.key), s);
	if (s)
		return;
	s = calloc(1, sizeof(*s));
	if (!s)
		return;
	s->key = like.key;
	HASH_ADD(hh, c->seen, key, sizeof(s->key), s);
	/* A loop device may have been given another file since. */
	vs_disks_describe(d->dev, &d->info);
	if (seen)
		seen(data, vm, &d->info);
}

static int add_disk_row(struct vs_collect *c, struct vs_sample *s, const struct vs_disk_key *k,
			const struct vs_disk_row *row, vs_disk_seen_fn seen, void *data)
{
	const struct vs_vm_entry *vm = NULL;
	struct vs_disk_sample *d;
	struct disk_entry *disk;

	if (k->vm != VS_NONE) {
		vm = k->vm < VS_VM__N ? c->inv->vm_by_slot[k->vm] : NULL;
		if (!vm || vm->gen != k->gen) {
			(void)bpf_map_delete_elem(vs_loader_maps(c->inv->loader)->disk, k);
			return 0;
		}
	}
	disk = disk_of(c, k->dev);
	d = disk ? vs_sample_add_disk(s) : NULL;
	if (!d)
		return -ENOMEM;
	if (vm)
		note_seen(c, vm, disk, seen, data);
	d->vm_uid = vm ? vm->uid : 0;
	d->dev = k->dev;
	d->op = k->op;
	d->info = &disk->info;
	d->row = *row;
	return 0;
}

static int fill_disks(struct vs_collect *c, struct vs_sample *s, vs_disk_seen_fn seen, void *data)
{
	int fd = vs_loader_maps(c->inv->loader)->disk, r = 0;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint64_t position = 0;
	bool first = true;

	while (fd >= 0 && !r) {
		uint32_t count = BATCH;

		r = bpf_map_lookup_batch(fd, first ? NULL : &position, &position, c->disk_keys,
					 c->disk_rows, &count, &opts);
		if (r && errno != ENOENT) {
			/* ENOSPC: one bucket holds more than a batch. Cannot
			 * happen below 256 collisions in one bucket. */
			vs_warn("read the disks' map: %s; figures of disks are incomplete, ignoring",
				strerror(errno));
			return 0;
		}
		first = false;
		for (uint32_t i = 0; i < count; i++)
			if (add_disk_row(c, s, &c->disk_keys[i], &c->disk_rows[i], seen, data))
				return -ENOMEM;
	}
	return 0;
}

static void tidy_seen(struct vs_collect *c, const struct vs_sample *s)
{
	struct seen_entry *e, *tmp;

	/* Uids only grow, so this cannot bring a VM back. */
	if (HASH_COUNT(c->seen) <= s->disks_n)
		return;
	HASH_ITER(hh, c->seen, e, tmp)
	{
		bool alive = false;

		for (size_t i = 0; i < s->vms_n && !alive; i++)
			alive = s->vms[i].uid == e->key.vm_uid;
		if (alive)
			continue;
		HASH_DEL(c->seen, e);
		free(e);
	}
}

int vs_collect_fill(struct vs_collect *c, struct vs_sample *ret, vs_disk_seen_fn seen, void *data)
{
	int missing, r;

	vs_sample_clear(ret);
	ret->mono_ns = vs_clock_mono_ns();
	ret->wall_ns = vs_clock_wall_ns();
	ret->flush_blind = !c->caps->tp_args[VS_TP_block_io_start];
	r = fill_vms(c, ret);
	if (!r)
		r = fill_drops(c, ret);
	missing = r ? 0 : fill_vnics(c, ret);
	if (missing < 0)
		r = missing;
	if (!r)
		r = fill_disks(c, ret, seen, data);
	if (!r)
		r = vs_collect_vhost(c->inv, c->vhost, &c->virtqs, ret);
	if (r)
		return r;
	vs_self_read(c->inv, c->plan, c->vhost, &c->own, ret);
	ret->self.lost[VS_LOST_VHOST_AGED] += c->virtqs.wakes_aged;
	vs_rooms_use(ret->self.maps, ret->self.maps_n, "vs_drop", c->drops_n);
	vs_rooms_use(ret->self.maps, ret->self.maps_n, "vs_disk", ret->disks_n);
	vs_sample_sort(ret);
	tidy_seen(c, ret);
	return missing;
}
