/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/synthetic_vm.h"

#include "source/synthetic_flow.h"

#include <errno.h>
#include <string.h>

/* What a VM of a kind does, a second where nothing else is said. */
struct habits {
	double rx, tx;		     /* packets */
	uint32_t rx_bytes, tx_bytes; /* of one */
	double waits_ns;	     /* median residence */
	double ring_drops, filter_drops, flood_drops;
	double ops[VS_OP__N];
	uint32_t bytes[VS_OP__N]; /* of one */
	double queue_ns, device_ns; /* medians */
	double used, stolen; /* of each vCPU; together below 0.55: see add_threads() */
	bool own_disk;
};

static const struct habits habits[VS_SYNTHETIC_KIND__N] = {
	[VS_SYNTHETIC_IDLE] = { .rx = 3, .tx = 2, .rx_bytes = 120, .tx_bytes = 100,
				.waits_ns = 30e3, .flood_drops = 0.3,
				.ops = { 0.2, 1.5, 0.2, 0 }, .bytes = { 16384, 8192, 0, 0 },
				.queue_ns = 4e3, .device_ns = 180e3, .used = 0.01, .stolen = 0.001 },
	[VS_SYNTHETIC_WEB] = { .rx = 900, .tx = 1100, .rx_bytes = 240, .tx_bytes = 1100,
			       .waits_ns = 40e3, .filter_drops = 0.4, .flood_drops = 0.3,
			       .ops = { 5, 20, 2, 0 }, .bytes = { 16384, 12288, 0, 0 },
			       .queue_ns = 5e3, .device_ns = 200e3, .used = 0.25, .stolen = 0.01 },
	[VS_SYNTHETIC_DATABASE] = { .rx = 400, .tx = 400, .rx_bytes = 250, .tx_bytes = 700,
				    .waits_ns = 45e3, .flood_drops = 0.3,
				    .ops = { 150, 220, 40, 0.5 },
				    .bytes = { 16384, 16384, 0, 1048576 },
				    .queue_ns = 8e3, .device_ns = 150e3, .used = 0.3,
				    .stolen = 0.01, .own_disk = true },
	[VS_SYNTHETIC_NOISY] = { .rx = 6000, .tx = 3500, .rx_bytes = 700, .tx_bytes = 800,
				 .waits_ns = 300e3, .ring_drops = 4, .flood_drops = 0.3,
				 .ops = { 2, 15, 1, 0 }, .bytes = { 65536, 32768, 0, 0 },
				 .queue_ns = 20e3, .device_ns = 300e3, .used = 0.45, .stolen = 0.05 },
	[VS_SYNTHETIC_THROTTLED] = { .rx = 150, .tx = 150, .rx_bytes = 300, .tx_bytes = 300,
				     .waits_ns = 80e3, .ring_drops = 0.1, .flood_drops = 0.3,
				     .ops = { 20, 30, 5, 0 }, .bytes = { 16384, 16384, 0, 0 },
				     .queue_ns = 5e6, .device_ns = 2e6, .used = 0.25, .stolen = 0.2,
				     .own_disk = true },
};

/* What is drawn from the same noise. */
enum noise { NOISE_NET = 16, NOISE_DISK, NOISE_CPU };

struct fill {
	const struct vs_synthetic_life *life;
	const struct habits *habits;
	struct vs_sample *to;
	uint64_t vm_uid;
	uint32_t pid, vcpus;
	double scale; /* how much busier than others of its kind */
};

static uint64_t hash(const struct vs_synthetic_life *l, uint64_t what)
{
	return vs_synthetic_hash(l->seed, l->index, what);
}

enum vs_synthetic_kind vs_synthetic_kind_of(uint64_t seed, uint32_t index)
{
	static const enum vs_synthetic_kind tenth[] = {
		VS_SYNTHETIC_IDLE,     VS_SYNTHETIC_IDLE,  VS_SYNTHETIC_IDLE, VS_SYNTHETIC_IDLE,
		VS_SYNTHETIC_WEB,      VS_SYNTHETIC_WEB,   VS_SYNTHETIC_WEB,  VS_SYNTHETIC_DATABASE,
		VS_SYNTHETIC_DATABASE, VS_SYNTHETIC_NOISY, VS_SYNTHETIC_THROTTLED,
	};

	if (index < VS_SYNTHETIC_KIND__N)
		return (enum vs_synthetic_kind)index;
	return tenth[vs_synthetic_hash(seed, index, 4) % (sizeof(tenth) / sizeof(tenth[0]))];
}

uint32_t vs_synthetic_vnics(const struct vs_synthetic_life *l)
{
	return hash(l, 5) % 4 == 0 ? 2 : 1;
}

static uint32_t vcpus_of(const struct vs_synthetic_life *l)
{
	return 1u << hash(l, 6) % 3;
}

/* Threads of the VM have the numbers behind it. */
static uint32_t pid_of(const struct vs_synthetic_life *l)
{
	return 10000 + (uint32_t)(l->key % 250000) * 16;
}

static struct vs_progress progress(const struct vs_synthetic_life *l, enum noise noise,
				   enum vs_odd odd)
{
	return vs_progress_at(hash(l, noise), l->age_s, l->odd_from_s[odd], l->odd_to_s[odd]);
}

void vs_synthetic_fill_vm(const struct vs_synthetic_life *l, struct vs_vm_sample *v)
{
	static const char *const prefix[] = { "idle", "web", "db", "noisy", "batch" };
	uint64_t a = hash(l, 7), b = hash(l, 8), gib = 1ull << (hash(l, 9) % 5);

	v->uid = vs_synthetic_vm_uid(l->key);
	v->pid = pid_of(l);
	v->vcpus = vcpus_of(l);
	v->ended = l->ended;
	v->announced = true;
	v->source = "libvirt";
	(void)snprintf(v->name, sizeof(v->name), "%s-%04u",
		       prefix[vs_synthetic_kind_of(l->seed, l->index)], l->index);
	(void)snprintf(v->uuid, sizeof(v->uuid), "%08x-%04x-4%03x-%04x-%012llx", (uint32_t)(a >> 32),
		       (uint32_t)(a >> 16) & 0xffff, (uint32_t)a & 0xfff,
		       ((uint32_t)(b >> 48) & 0x3fff) | 0x8000,
		       (unsigned long long)(b & 0xffffffffffffull));
	v->libvirt.known = true;
	v->libvirt.id = (int32_t)(l->key + 1);
	(void)snprintf(v->libvirt.state, sizeof(v->libvirt.state), "running");
	(void)snprintf(v->libvirt.reason, sizeof(v->libvirt.reason), "booted");
	v->memory_total = v->memory_balloon = gib << 30;
	v->memory_used = (v->memory_total >> 8) * (100 + hash(l, 10) % 128);
	v->images_n = 1;
	(void)snprintf(v->images[0].path, sizeof(v->images[0].path),
		       "/var/lib/libvirt/images/synthetic-%u.qcow2", l->index);
	(void)snprintf(v->images[0].target, sizeof(v->images[0].target), "vda");
}

static int add_drop(struct vs_sample *s, uint64_t vnic_uid, const char *reason, uint32_t raw,
		    const char *location, uint8_t direction, uint64_t n)
{
	struct vs_drop_sample *d = n ? vs_sample_add_drop(s) : NULL;

	if (!d)
		return n ? -ENOMEM : 0;
	d->vnic_uid = vnic_uid;
	d->reason = reason;
	d->raw_reason = raw;
	d->location = location;
	d->address = 0xffffffff81000000ull + raw * 4096ull;
	d->kind = vs_drop_classify(reason, location, direction, 0);
	d->count = n;
	return 0;
}

/* Only what the ring refuses is counted by the kernel, too. */
static int add_drops(struct fill *f, struct vs_vnic_sample *n, double share)
{
	const struct vs_synthetic_life *l = f->life;
	struct vs_progress p = progress(l, NOISE_NET, VS_ODD_DROPS);
	double all = vs_progress_all(&p) * share;
	uint64_t ring = (uint64_t)(f->habits->ring_drops * all) +
			(uint64_t)(0.1 * f->habits->rx * share * p.odd);
	uint64_t uid = n->uid;
	int r;

	n->kernel_dropped[VS_DIR_RX] = ring;
	r = add_drop(f->to, uid, "NO_TX_TARGET", 107, "br_flood", VS_DIR_TX,
		     (uint64_t)(f->habits->flood_drops * all));
	if (!r)
		r = add_drop(f->to, uid, "FULL_RING", VS_SYNTHETIC_FULL_RING, "tun_net_xmit",
			     VS_DIR_RX, ring);
	return r ? r : add_drop(f->to, uid, "NETFILTER_DROP", 9, "nft_do_chain", VS_DIR_RX,
				(uint64_t)(f->habits->filter_drops * all));
}

static void residence(const struct vs_flow *packets, double median_ns, double rate,
		      struct vs_vnic_sample *n)
{
	struct vs_flow sampled;
	uint32_t shift = 0;

	/* as the sampler would settle: VS_SAMPLE_TARGET in 100 ms */
	while (shift < VS_SAMPLE_SHIFT_MAX && rate / (1u << shift) > 10.0 * VS_SAMPLE_TARGET)
		shift++;
	sampled = (struct vs_flow){ packets->calm >> shift, packets->busy >> shift,
				    packets->odd >> shift };
	n->samples = vs_flow_all(&sampled);
	n->sample_lost = n->samples / 1000;
	vs_flow_durations(&sampled, median_ns, 1u << shift, &n->residence);
}

static int add_virtq(struct fill *f, const struct vs_vnic_sample *n, uint32_t vnic, int dir,
		     uint64_t packets)
{
	struct vs_virtq_sample *v = vs_sample_add_virtq(f->to);
	/* A run moves eight buffers in the mean; one in sixteen asks for the next. */
	struct vs_flow woken = { .calm = packets / 8 };
	struct vs_virtq *q;

	if (!v)
		return -ENOMEM;
	q = &v->row;
	v->vm_uid = f->vm_uid;
	v->vnic_uid = n->uid;
	v->ended = f->life->ended;
	v->key.vq = 0xffff888000000000ull + n->uid * 8192 + (uint32_t)dir * 4096;
	v->key.tid = f->pid + 12 + vnic;
	q->ifindex = n->ifindex;
	q->netns_cookie = 1;
	q->direction = (uint8_t)dir;
	vs_flow_durations(&woken, dir == VS_DIR_RX ? 12e3 : 8e3, 1,
			  dir == VS_DIR_RX ? &q->wake : &q->kick);
	q->unasked = woken.calm / 16;
	q->runs = woken.calm + q->unasked;
	q->buffers = packets;
	q->busy_ns = packets * 700;
	q->signals_due = q->runs;
	q->signals = q->runs / 2;
	q->wait_ns = q->wake.sum_ns + q->kick.sum_ns;
	q->wait_cpu_ns = q->wait_ns / 4;
	q->wait_sibling_ns = q->wait_ns / 8;
	q->batch[3] = (q->runs + 1) / 2; /* 4 to 7 */
	q->batch[4] = q->runs / 2;	 /* 8 to 15 */
	if (dir == VS_DIR_RX)
		memcpy(q->depth, q->batch, sizeof(q->depth));
	v->worker_delay_ns = q->wait_cpu_ns;
	return 0;
}

static int add_vnic(struct fill *f, uint32_t vnic)
{
	const struct vs_synthetic_life *l = f->life;
	/* The second one is of a quieter network. */
	double share = f->scale * (vnic ? 0.1 : 1), rx = f->habits->rx * share;
	struct vs_progress slow = progress(l, NOISE_NET, VS_ODD_RESIDENCE);
	struct vs_progress loud = progress(l, NOISE_NET, VS_ODD_THROUGHPUT);
	struct vs_flow in = vs_flow_of(rx, &slow);
	struct vs_vnic_sample *n = vs_sample_add_vnic(f->to);
	uint64_t mac = hash(l, 11 + vnic);
	int r;

	if (!n)
		return -ENOMEM;
	in.calm += (uint64_t)(7 * rx * loud.odd);
	n->uid = vs_synthetic_vnic_uid(l->key, vnic);
	n->vm_uid = f->vm_uid;
	n->ifindex = (uint32_t)(100 + l->key * 2 + vnic);
	n->index = vnic;
	n->attached = !l->ended;
	n->has_link = n->has_drops = n->has_residence = true;
	(void)snprintf(n->name, sizeof(n->name), "vnet%u", (uint32_t)(l->key * 2 + vnic) % 100000000);
	(void)snprintf(n->alias, sizeof(n->alias), "net%u", vnic);
	(void)snprintf(n->mac, sizeof(n->mac), "52:54:00:%02x:%02x:%02x", (uint32_t)mac & 0xff,
		       (uint32_t)(mac >> 8) & 0xff, (uint32_t)(mac >> 16) & 0xff);
	n->packets[VS_DIR_RX] = vs_flow_all(&in);
	n->packets[VS_DIR_TX] = (uint64_t)(f->habits->tx * share *
					   (vs_progress_all(&loud) + 7 * loud.odd));
	n->bytes[VS_DIR_RX] = n->packets[VS_DIR_RX] * f->habits->rx_bytes;
	n->bytes[VS_DIR_TX] = n->packets[VS_DIR_TX] * f->habits->tx_bytes;
	residence(&in, f->habits->waits_ns, rx, n);
	r = add_drops(f, n, share);
	for (int dir = 0; dir < 2 && !r; dir++)
		r = add_virtq(f, n, vnic, dir, n->packets[dir]);
	return r;
}

static int add_disk(struct vs_sample *to, uint64_t vm_uid, const struct vs_disk_info *info,
		    uint32_t dev, const struct habits *h, double scale, const struct vs_progress *p)
{
	for (uint32_t op = 0; op < VS_OP__N; op++) {
		struct vs_flow n = vs_flow_of(h->ops[op] * scale, p);
		struct vs_hist total = { 0 };
		struct vs_disk_sample *d;

		if (!vs_flow_all(&n))
			continue; /* a row comes with its first request */
		d = vs_sample_add_disk(to);
		if (!d)
			return -ENOMEM;
		d->vm_uid = vm_uid;
		d->dev = dev;
		d->op = op;
		d->info = info;
		d->row.bytes = vs_flow_all(&n) * h->bytes[op];
		if (op != VS_OP_FLUSH) {
			vs_flow_requests(&n, h->queue_ns, h->device_ns, &d->row);
			continue;
		}
		/* It ends without an issue of its own. */
		vs_flow_durations(&n, h->device_ns * 3, 1, &total);
		d->row.total_ns = d->row.unissued_ns = total.sum_ns;
		for (uint32_t i = 0; i < VS_HIST__N; i++)
			d->row.n[i][VS_PART_TOTAL] = total.n[i];
	}
	return 0;
}

static int add_thread(struct fill *f, uint32_t tid, enum vs_role role, const char *name, int index,
		      double run_s, double delay_s)
{
	struct vs_thread_sample *t = vs_sample_add_thread(f->to);

	if (!t)
		return -ENOMEM;
	t->vm_uid = f->vm_uid;
	t->tid = tid;
	t->start_ns = f->life->key + 1;
	t->role = (uint16_t)role;
	t->index = (int16_t)index;
	t->run_ns = (uint64_t)(run_s * 1e9);
	t->run_delay_ns = (uint64_t)(delay_s * 1e9);
	t->slices = (uint64_t)(run_s * 2000);
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	return 0;
}

/* Progress is 1.75 a second at most, so what runs and waits fits into the second. */
static int add_threads(struct fill *f)
{
	struct vs_progress p = progress(f->life, NOISE_CPU, VS_ODD_STEAL);
	double calm = p.calm + p.busy, used = f->habits->used;
	char name[16];
	int r = add_thread(f, f->pid, VS_ROLE_EMULATOR, "qemu-system-x86", -1, 0.01 * calm,
			   0.001 * calm);

	for (uint32_t i = 0; i < f->vcpus && !r; i++) {
		(void)snprintf(name, sizeof(name), "CPU %u/KVM", i % 100);
		/* Those behind the first have less to do. */
		r = add_thread(f, f->pid + 1 + i, VS_ROLE_VCPU, name, (int)i,
			       used / (1 + i) * (calm + 0.4 * p.odd),
			       f->habits->stolen * calm + 0.3 * p.odd);
	}
	if (!r && f->habits->own_disk)
		r = add_thread(f, f->pid + 8, VS_ROLE_IOTHREAD, "IO iothread0", -1, 0.05 * calm,
			       0.001 * calm);
	for (uint32_t i = 0; i < vs_synthetic_vnics(f->life) && !r; i++) {
		(void)snprintf(name, sizeof(name), "vhost-%u", f->pid);
		r = add_thread(f, f->pid + 12 + i, VS_ROLE_WORKER, name, -1, 0.02 * calm, 0.002 * calm);
	}
	return r;
}

static int add_kvm(struct fill *f)
{
	struct vs_progress p = progress(f->life, NOISE_CPU, VS_ODD_STEAL);
	double all = f->habits->used * vs_progress_all(&p);
	struct vs_kvm_sample *k = vs_sample_add_kvm(f->to);

	if (!k)
		return -ENOMEM;
	k->vm_uid = f->vm_uid;
	/* Rates fall along the list; polling is a small part of what a vCPU runs. */
	for (uint32_t i = 0; i < f->to->kvm_names->n; i++)
		k->value[i] = f->to->kvm_names->exits[i] ? (uint64_t)(20000 / (1 + i) * all) :
							   (uint64_t)(1e7 * all * 0.4);
	return 0;
}

int vs_synthetic_add(const struct vs_synthetic_life *l, struct vs_sample *ret)
{
	enum vs_synthetic_kind kind = vs_synthetic_kind_of(l->seed, l->index);
	struct vs_progress disk = progress(l, NOISE_DISK, VS_ODD_DISK);
	struct vs_vm_sample *v = vs_sample_add_vm(ret);
	struct fill f = { .life = l,
			  .habits = &habits[kind],
			  .to = ret,
			  .vm_uid = vs_synthetic_vm_uid(l->key),
			  .pid = pid_of(l),
			  .vcpus = vcpus_of(l),
			  .scale = 0.5 + (double)(hash(l, 13) % 1024) / 1024 };
	int r = v ? 0 : -ENOMEM;

	if (v)
		vs_synthetic_fill_vm(l, v);
	for (uint32_t i = 0; i < vs_synthetic_vnics(l) && !r; i++)
		r = add_vnic(&f, i);
	if (!r && f.habits->own_disk)
		r = add_disk(ret, f.vm_uid, l->own, 253u << 20 | l->index, f.habits, f.scale, &disk);
	if (!r)
		r = add_disk(ret, f.vm_uid, l->host, 259u << 20, f.habits, f.scale, &disk);
	if (!r && ret->threads_ns)
		r = add_threads(&f);
	return !r && ret->kvm_names ? add_kvm(&f) : r;
}

int vs_synthetic_add_host(uint64_t seed, double age_s, const struct vs_disk_info *host,
			  struct vs_sample *ret)
{
	struct vs_progress p = vs_progress_at(seed, age_s, 0, 0);
	int r = add_disk(ret, 0, host, 259u << 20, &habits[VS_SYNTHETIC_WEB], 1, &p);

	return r ? r : add_drop(ret, 0, "NO_SOCKET", 3, "udp_queue_rcv", VS_DIR_RX,
				(uint64_t)(0.1 * vs_progress_all(&p)));
}
