/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collectors.c - walks a sample, and gives each row of it to the series it belongs to. */
#include "serve/exports.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT__N 256
#define INFO__N 8192

/* A walk: rows of one VM stand together, mostly, so the last one is remembered. */
struct walk {
	struct vs_exports *series;
	const struct vs_sample *s;
	uint64_t uid;
	struct vs_subject *vm;
	int r;
};

static struct vs_subject *subject(struct walk *w, uint64_t uid)
{
	if (!uid)
		return &w->series->nobody;
	if (w->uid != uid || !w->vm) {
		w->vm = vs_subjects_find(w->series, uid);
		w->uid = uid;
	}
	/* ended: the table still has it, but it is not seen again */
	return w->vm && w->vm->gen == w->series->gen ? w->vm : NULL;
}

static struct vs_device *whole(struct walk *w, struct vs_subject *s)
{
	return s->folded ? &w->series->other.whole : &s->whole;
}

/* The common case: an object of @collector, with labels that are only needed once. */
static struct vs_origin *observe(struct walk *w, enum vs_collector collector,
				 const struct vs_origin_key *key, struct vs_device *device,
				 const struct vs_metric_context *c, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

static struct vs_origin *observe(struct walk *w, enum vs_collector collector,
				 const struct vs_origin_key *key, struct vs_device *device,
				 const struct vs_metric_context *c, const char *fmt, ...)
{
	struct vs_origin *o = vs_exports_find(w->series, collector, key);
	char text[TEXT__N];
	uint32_t wanted;
	va_list ap;

	if (!o) {
		wanted = vs_exports_wanted(w->series, collector, c, device->subject->detail);
		if (!wanted)
			return NULL;
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		o = vs_exports_make(w->series, collector, key, device, text, wanted);
	}
	if (!o) {
		w->r = -ENOMEM;
		return NULL;
	}
	vs_exports_add(w->series, o, c);
	return o;
}

static const char *direction(uint32_t dir)
{
	return dir == VS_DIR_RX ? "rx" : dir == VS_DIR_TX ? "tx" : "both";
}

/* INFO rows: one per VM or device, all labels in one text. */
static void set_info(struct walk *w, enum vs_collector collector, struct vs_device *device,
		     const struct vs_metric_context *c, const char *const *pairs)
{
	char text[INFO__N] = "", escaped[VS_ESCAPED__N];
	size_t at = 0;

	for (; pairs[0]; pairs += 2) {
		size_t size = sizeof(text) - at, n;

		if (!*pairs[1])
			continue;
		n = (size_t)snprintf(text + at, size, "%s%s=\"%s\"", at ? "," : "", pairs[0],
				     vs_exports_escape(pairs[1], escaped));
		if (n >= size) { /* no half a label */
			text[at] = '\0';
			break;
		}
		at += n;
	}
	if (vs_exports_set(w->series, collector, device, text, true, c))
		w->r = -ENOMEM;
}

/* Both are sorted by the VM; *at moves on. */
static uint32_t vcpus(const struct vs_sample *s, uint64_t uid, size_t *at)
{
	uint32_t n = 0;

	while (*at < s->threads_n && s->threads[*at].vm_uid < uid)
		(*at)++;
	for (; *at < s->threads_n && s->threads[*at].vm_uid == uid; (*at)++)
		n += s->threads[*at].role == VS_ROLE_VCPU;
	return n;
}

static void info_of_vm(struct walk *w, struct vs_subject *s, const struct vs_metric_context *c)
{
	const struct vs_vm_sample *vm = c->vm;
	const char *pairs[2 * (3 + VS_LABEL__N) + 1] = {"uuid", vm->uuid, "pid",
							NULL,	"source", vm->source};
	char pid[16];
	size_t n = 6;

	(void)snprintf(pid, sizeof(pid), "%u", vm->pid);
	pairs[3] = pid;
	for (uint32_t i = 0; i < vm->labels_n && i < VS_LABEL__N; i++) {
		pairs[n++] = vm->labels[i].name;
		pairs[n++] = vm->labels[i].value;
	}
	set_info(w, VS_COLLECT_INFO_VM, &s->whole, c, pairs);
}

static void vms(struct walk *w)
{
	size_t at = 0;

	for (size_t i = 0; i < w->s->vms_n; i++) {
		const struct vs_vm_sample *vm = &w->s->vms[i];
		struct vs_metric_context c = {.vm = vm};
		struct vs_origin_key key = {.a = vm->uid};
		struct vs_subject *s;

		if (vm->ended)
			continue;
		s = vs_subjects_vm(w->series, vm);
		if (!s) {
			w->r = -ENOMEM;
			continue;
		}
		if (w->s->threads_ns)
			s->vcpus = vcpus(w->s, vm->uid, &at);
		c.n = s->vcpus ? s->vcpus : vm->vcpus;
		(void)observe(w, VS_COLLECT_VM, &key, whole(w, s), &c, "%s", "");
		if (s->folded)
			continue;
		info_of_vm(w, s, &c);
		if (vm->libvirt.known)
			set_info(w, VS_COLLECT_INFO_STATE, &s->whole, &c,
				 (const char *const[]){"state", vm->libvirt.state, "reason",
						       vm->libvirt.reason, NULL});
	}
	vs_exports_sweep(w->series, VS_COLLECT_VM);
}

static void threads(struct walk *w)
{
	if (!w->s->threads_ns)
		return;
	for (size_t i = 0; i < w->s->threads_n; i++) {
		const struct vs_thread_sample *t = &w->s->threads[i];
		struct vs_metric_context c = {.thread = t};
		struct vs_origin_key key = {
			.a = t->vm_uid, .b = t->start_ns, .c = t->tid, .d = t->role};
		struct vs_subject *s = subject(w, t->vm_uid);

		if (s)
			(void)observe(w, VS_COLLECT_ROLE, &key, whole(w, s), &c, "role=\"%s\"",
				      vs_role_name(t->role));
	}
	vs_exports_sweep(w->series, VS_COLLECT_ROLE);
}

static void kvm(struct walk *w)
{
	const struct vs_kvm_names *names = w->s->kvm_names;

	if (!names)
		return;
	for (size_t i = 0; i < w->s->kvm_n; i++) {
		const struct vs_kvm_sample *k = &w->s->kvm[i];
		struct vs_metric_context c = {.kvm = k, .names = names};
		struct vs_origin_key key = {.a = k->vm_uid};
		struct vs_subject *s = subject(w, k->vm_uid);

		if (!s)
			continue;
		(void)observe(w, VS_COLLECT_KVM, &key, whole(w, s), &c, "%s", "");
		for (uint32_t n = 0; s->detail && n < names->n; n++) {
			c.n = k->value[n];
			key.b = n + 1;
			if (names->exits[n])
				(void)observe(w, VS_COLLECT_KVM_EXIT, &key, whole(w, s), &c,
					      "exit=\"%s\"", names->name[n]);
		}
	}
	vs_exports_sweep(w->series, VS_COLLECT_KVM);
	vs_exports_sweep(w->series, VS_COLLECT_KVM_EXIT);
}

/* A loss: by site and reason while the VM's account has room. */
static void loss(struct walk *w, struct vs_device *device, const struct vs_drop_sample *d,
		 const struct vs_origin_key *key)
{
	struct vs_metric_context c = {.drop = d};
	struct vs_origin *o = vs_exports_find(w->series, VS_COLLECT_DROP, key);
	struct vs_subject *s = device->subject;
	char text[TEXT__N], reason[VS_ESCAPED__N];
	bool fits = true;

	if (!o) {
		(void)snprintf(text, sizeof(text), "direction=\"%s\",site=\"%s\",reason=\"%.128s\"",
			       direction(d->kind.direction), vs_site_name(d->kind.site),
			       vs_exports_escape(*d->reason ? d->reason : "unknown", reason));
		if (!vs_exports_row(device, VS_COLLECT_DROP, text)) {
			fits = s->used < s->limit;
			s->used += fits;
		}
		if (!fits) {
			device = vs_subjects_other_vnic(w->series, s);
			(void)snprintf(text, sizeof(text),
				       "direction=\"%s\",site=\"other\",reason=\"other\"",
				       direction(d->kind.direction));
		}
		if (device)
			o = vs_exports_make(w->series, VS_COLLECT_DROP, key, device, text, 1);
		if (o) {
			o->folded = !fits;
			w->series->folded[VS_FOLDED_REASON] += o->folded;
		}
	}
	if (o)
		vs_exports_add(w->series, o, &c);
	else
		w->r = -ENOMEM;
}

static struct vs_origin_key drop_key(const struct vs_drop_sample *d)
{
	return (struct vs_origin_key){.a = d->vnic_uid,
				      .b = d->address,
				      .c = d->raw_reason,
				      .d = d->kind.direction | (uint32_t)d->kind.site << 8 |
					   (uint32_t)d->kind.class << 16};
}

/* Drops of one vNIC, @d to @end. */
static void drops(struct walk *w, struct vs_device *device, const struct vs_drop_sample *d,
		  const struct vs_drop_sample *end)
{
	for (; d < end; d++) {
		struct vs_metric_context c = {.drop = d};
		struct vs_origin_key key = drop_key(d);

		if (d->kind.class == VS_CLASS_LOSS)
			loss(w, device, d, &key);
		else if (device->subject->detail)
			(void)observe(w, VS_COLLECT_HARMLESS, &key, device, &c,
				      "direction=\"%s\",class=\"%s\"", direction(d->kind.direction),
				      vs_class_name(d->kind.class));
	}
}

/* Losses for which there was no row in the kernel: no reason is known. */
static void untold(struct walk *w, struct vs_device *device, const struct vs_vnic_sample *n,
		   uint32_t dir)
{
	struct vs_drop_sample d = {
		.vnic_uid = n->uid,
		.reason = "",
		.count = n->drops_untold[dir],
		.kind = {.site = VS_SITE_OTHER, .class = VS_CLASS_LOSS, .direction = (uint8_t)dir}};
	struct vs_origin_key key = drop_key(&d);

	key.b = UINT64_MAX;
	if (d.count)
		loss(w, device, &d, &key);
}

static void vnic(struct walk *w, const struct vs_vnic_sample *n, struct vs_device *device,
		 const uint64_t lost[2])
{
	struct vs_metric_context c = {.nic = n};
	struct vs_origin_key key = {.a = n->uid};
	char ifindex[16], netns[32];

	(void)observe(w, VS_COLLECT_VNIC, &key, device, &c, "%s", "");
	for (c.dir = 0; c.dir < 2; c.dir++) {
		c.lost = lost[c.dir] + n->drops_untold[c.dir];
		key.b = c.dir + 1;
		(void)observe(w, VS_COLLECT_VNIC_DIR, &key, device, &c, "direction=\"%s\"",
			      direction(c.dir));
		untold(w, device, n, c.dir);
	}
	if (!device->subject->detail || strcmp(device->name, n->name) != 0)
		return;
	(void)snprintf(ifindex, sizeof(ifindex), "%u", n->ifindex);
	(void)snprintf(netns, sizeof(netns), n->netns_inum ? "net:[%u]" : "host", n->netns_inum);
	set_info(w, VS_COLLECT_INFO_VNIC, device, &c,
		 (const char *const[]){"mac", n->mac, "netns", netns, "ifindex", ifindex, NULL});
}

static struct vs_device *device_of_disk(struct walk *w, struct vs_subject *s,
					const struct vs_disk_sample *d)
{
	struct vs_device *device = vs_subjects_device(
		w->series, s, d->info->logical ? VS_DEVICE_LOGICAL : VS_DEVICE_PHYSICAL, d->dev,
		d->info->name);

	if (!device)
		w->r = -ENOMEM;
	return device;
}

/* All devices have their places before any reason of a drop takes what is left. */
static void devices(struct walk *w, struct vs_device **ret_vnics)
{
	for (size_t i = 0; i < w->s->vnics_n; i++) {
		const struct vs_vnic_sample *n = &w->s->vnics[i];
		struct vs_subject *s = n->vm_uid ? subject(w, n->vm_uid) : NULL;

		if (!s)
			continue;
		ret_vnics[i] =
			vs_subjects_device(w->series, s, VS_DEVICE_VNIC, n->netns_inum, n->name);
		if (!ret_vnics[i])
			w->r = -ENOMEM;
	}
	for (size_t i = 0; i < w->s->disks_n; i++) {
		const struct vs_disk_sample *d = &w->s->disks[i];
		struct vs_subject *s = subject(w, d->vm_uid);

		if (s && (!i || d[-1].vm_uid != d->vm_uid || d[-1].dev != d->dev))
			(void)device_of_disk(w, s, d);
	}
}

/* vNICs and drops are both sorted by the vNIC. */
static void vnics(struct walk *w, struct vs_device *const *of_vnics)
{
	const struct vs_drop_sample *d = w->s->drops, *end = d + w->s->drops_n;

	for (size_t i = 0; i < w->s->vnics_n; i++) {
		const struct vs_vnic_sample *n = &w->s->vnics[i];
		const struct vs_drop_sample *first;
		uint64_t lost[2] = {0};

		while (d < end && d->vnic_uid < n->uid)
			d++;
		for (first = d; d < end && d->vnic_uid == n->uid; d++)
			if (d->kind.class == VS_CLASS_LOSS)
				lost[d->kind.direction & 1] += d->count;
		if (!of_vnics[i])
			continue;
		vnic(w, n, of_vnics[i]->into, lost);
		drops(w, of_vnics[i]->into, first, d);
	}
	vs_exports_sweep(w->series, VS_COLLECT_VNIC);
	vs_exports_sweep(w->series, VS_COLLECT_VNIC_DIR);
	vs_exports_sweep(w->series, VS_COLLECT_DROP);
	vs_exports_sweep(w->series, VS_COLLECT_HARMLESS);
}

static void virtqs(struct walk *w, struct vs_device *const *of_vnics)
{
	for (size_t i = 0; i < w->s->virtqs_n; i++) {
		const struct vs_virtq_sample *q = &w->s->virtqs[i];
		struct vs_metric_context c = {.queue = &q->row, .dir = q->row.direction};
		struct vs_origin_key key = {
			.a = q->key.vq, .b = q->vnic_uid, .c = q->key.tid, .d = q->row.direction};
		const struct vs_vnic_sample *n =
			q->vnic_uid ? vs_sample_find_vnic(w->s, q->vnic_uid) : NULL;

		if (n && of_vnics[n - w->s->vnics])
			(void)observe(w, VS_COLLECT_VIRTQ, &key, of_vnics[n - w->s->vnics]->into,
				      &c, "direction=\"%s\"", direction(c.dir));
	}
	vs_exports_sweep(w->series, VS_COLLECT_VIRTQ);
}

static void disks(struct walk *w)
{
	struct vs_device *device = NULL;

	for (size_t i = 0; i < w->s->disks_n; i++) {
		const struct vs_disk_sample *d = &w->s->disks[i];
		struct vs_metric_context c = {.disk = d};
		struct vs_origin_key key = {.a = d->vm_uid, .b = d->dev, .c = d->op};
		const char *layer = d->info->logical ? "logical" : "physical";
		struct vs_subject *s = subject(w, d->vm_uid);

		if (!s)
			continue;
		if (!device || d[-1].vm_uid != d->vm_uid || d[-1].dev != d->dev)
			device = device_of_disk(w, s, d);
		if (!device)
			continue;
		(void)observe(w, d->vm_uid ? VS_COLLECT_DISK : VS_COLLECT_UNATTRIBUTED_DISK, &key,
			      device->into, &c, "layer=\"%s\",op=\"%s\"", layer, vs_op_name(d->op));
		for (c.part = 0; c.part < VS_PART__N; c.part++) {
			key.d = c.part;
			(void)observe(
				w, d->vm_uid ? VS_COLLECT_DISK_PART : VS_COLLECT_UNATTRIBUTED_PART,
				&key, device->into, &c, "layer=\"%s\",op=\"%s\",part=\"%s\"", layer,
				vs_op_name(d->op), vs_part_name(c.part));
		}
	}
	vs_exports_sweep(w->series, VS_COLLECT_DISK);
	vs_exports_sweep(w->series, VS_COLLECT_DISK_PART);
	vs_exports_sweep(w->series, VS_COLLECT_UNATTRIBUTED_DISK);
	vs_exports_sweep(w->series, VS_COLLECT_UNATTRIBUTED_PART);
}

/* Sorted by vNIC: those of none come first. */
static void unattributed_drops(struct walk *w)
{
	struct vs_device *device = &w->series->nobody.whole;

	for (size_t i = 0; i < w->s->drops_n && !w->s->drops[i].vnic_uid; i++) {
		const struct vs_drop_sample *d = &w->s->drops[i];
		struct vs_metric_context c = {.drop = d};
		struct vs_origin_key key = drop_key(d);
		char reason[VS_ESCAPED__N];

		(void)observe(w, VS_COLLECT_UNATTRIBUTED_DROP, &key, device, &c,
			      "direction=\"%s\",site=\"%s\",reason=\"%.128s\"",
			      direction(d->kind.direction), vs_site_name(d->kind.site),
			      vs_exports_escape(*d->reason ? d->reason : "unknown", reason));
	}
	vs_exports_sweep(w->series, VS_COLLECT_UNATTRIBUTED_DROP);
}

int vs_exports_walk(struct vs_exports *series, const struct vs_sample *s)
{
	struct walk w = {.series = series, .s = s};
	vs_autofree struct vs_device **of_vnics = calloc(s->vnics_n + 1, sizeof(*of_vnics));

	if (!of_vnics)
		return -ENOMEM;
	vms(&w);
	threads(&w);
	kvm(&w);
	devices(&w, of_vnics);
	vnics(&w, of_vnics);
	virtqs(&w, of_vnics);
	disks(&w);
	unattributed_drops(&w);
	return w.r;
}
