/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/report.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "model/cpu.h"
#include "model/report_self.h"
#include "model/report_vhost.h"

#include <math.h>
#include <string.h>

json_t *vs_report_us(double ns)
{
	return json_real(round(ns) / 1000.0);
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Where 0 means that nobody knows. */
static json_t *count_or_null(uint64_t n)
{
	return n ? count(n) : json_null();
}

static json_t *text_or_null(const char *s)
{
	return *s ? json_string(s) : json_null();
}

static json_t *buckets(const struct vs_hist *h)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < VS_HIST__N; i++)
		if (h->n[i])
			(void)json_array_append_new(
				rows, json_pack("[o,o]", vs_report_us((double)vs_hist_upper_ns(i)),
						count(h->n[i])));
	return rows;
}

void vs_report_set_distribution(json_t *into, const struct vs_hist *h)
{
	static const struct {
		const char *key;
		double q;
	} points[] = { { "p50", 0.50 }, { "p90", 0.90 }, { "p95", 0.95 }, { "p99", 0.99 } };
	uint64_t n = vs_hist_count(h);

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		(void)json_object_set_new(into, points[i].key,
					  n ? vs_report_us(vs_hist_percentile_ns(h, points[i].q)) : json_null());
	(void)json_object_set_new(into, "max", n ? vs_report_us((double)vs_hist_max_ns(h)) : json_null());
	(void)json_object_set_new(into, "sum", vs_report_us((double)h->sum_ns));
	(void)json_object_set_new(into, "buckets", buckets(h));
}

static json_t *residence(const struct vs_vnic_sample *b, const struct vs_vnic_sample *a)
{
	json_t *o;
	struct vs_hist h;

	if (!b->has_residence)
		return json_null();
	vs_hist_diff(&b->residence, a ? &a->residence : NULL, &h);
	o = json_object();
	(void)json_object_set_new(o, "samples", count(b->samples - (a ? a->samples : 0)));
	(void)json_object_set_new(o, "packets", count(vs_hist_count(&h)));
	(void)json_object_set_new(o, "lost", count(b->sample_lost - (a ? a->sample_lost : 0)));
	vs_report_set_distribution(o, &h);
	return o;
}

static json_t *drop_row(const struct vs_drop_sample *d, uint64_t n)
{
	return json_pack("{s:s,s:o,s:o,s:s,s:I}", "site", vs_site_name(d->kind.site), "reason",
			 text_or_null(d->reason), "location", text_or_null(d->location), "class",
			 vs_class_name(d->kind.class), "count", (json_int_t)n);
}

/* Rows that differ only in the address inside one function are one row. */
static void add_drop(json_t *rows, const struct vs_drop_sample *d, uint64_t n)
{
	json_t *row, *fresh = drop_row(d, n);
	size_t i;

	json_array_foreach(rows, i, row)
	{
		json_int_t was = json_integer_value(json_object_get(row, "count"));

		(void)json_object_set_new(fresh, "count", json_integer(was));
		if (!json_equal(row, fresh))
			continue;
		(void)json_object_set_new(row, "count", json_integer(was + (json_int_t)n));
		json_decref(fresh);
		return;
	}
	(void)json_object_set_new(fresh, "count", count(n));
	(void)json_array_append_new(rows, fresh);
}

/* Drops of @vnic_uid (0: nobody's) in one direction; *ret_losses is their sum
 * over class loss. @direction < 0: both. */
static json_t *drops(const struct vs_sample *a, const struct vs_sample *b, uint64_t vnic_uid,
		     int direction, uint64_t *ret_losses)
{
	json_t *rows = json_array();

	*ret_losses = 0;
	for (size_t i = 0; i < b->drops_n; i++) {
		const struct vs_drop_sample *d = &b->drops[i], *old;
		uint64_t n;

		if (d->vnic_uid != vnic_uid || (direction >= 0 && d->kind.direction != direction))
			continue;
		old = vs_sample_find_drop(a, d);
		n = d->count - (old ? old->count : 0);
		if (!n)
			continue;
		if (d->kind.class == VS_CLASS_LOSS)
			*ret_losses += n;
		add_drop(rows, d, n);
	}
	return rows;
}

static json_t *vnic_direction(const struct vs_sample *a, const struct vs_sample *b,
			      const struct vs_vnic_sample *n, const struct vs_vnic_sample *o, int dir)
{
	json_t *side = json_object(), *rows;
	uint64_t losses, untold;

	/* Known then, but not read: a difference there is none. */
	if (n->has_link && (!o || o->has_link)) {
		bool base = o;

		(void)json_object_set_new(side, "packets",
					  count(n->packets[dir] - (base ? o->packets[dir] : 0)));
		(void)json_object_set_new(side, "bytes",
					  count(n->bytes[dir] - (base ? o->bytes[dir] : 0)));
		(void)json_object_set_new(
			side, "kernel_dropped",
			count(n->kernel_dropped[dir] - (base ? o->kernel_dropped[dir] : 0)));
	} else {
		(void)json_object_set_new(side, "packets", json_null());
		(void)json_object_set_new(side, "bytes", json_null());
		(void)json_object_set_new(side, "kernel_dropped", json_null());
	}
	if (!n->has_drops) {
		(void)json_object_set_new(side, "drops_total", json_null());
		(void)json_object_set_new(side, "unexplained", json_null());
		(void)json_object_set_new(side, "drops", json_null());
		return side;
	}
	rows = drops(a, b, n->uid, dir, &losses);
	untold = n->drops_untold[dir] - (o ? o->drops_untold[dir] : 0);
	if (untold) {
		losses += untold;
		(void)json_array_append_new(rows, json_pack("{s:s,s:n,s:n,s:s,s:I}", "site", "other",
							    "reason", "location", "class", "loss",
							    "count", (json_int_t)untold));
	}
	(void)json_object_set_new(side, "drops_total", count(losses));
	(void)json_object_set_new(side, "unexplained",
				  n->has_link ? json_integer(n->unexplained[dir]) : json_null());
	(void)json_object_set_new(side, "drops", rows);
	return side;
}

static json_t *vnic(const struct vs_sample *a, const struct vs_sample *b,
		    const struct vs_vnic_sample *n)
{
	const struct vs_vnic_sample *o = vs_sample_find_vnic(a, n->uid);
	json_t *j = json_object(), *rx = vnic_direction(a, b, n, o, VS_DIR_RX);

	(void)json_object_set_new(rx, "residence_us", residence(n, o));
	(void)json_object_set_new(j, "name", json_string(n->name));
	(void)json_object_set_new(j, "mac", text_or_null(n->mac));
	(void)json_object_set_new(j, "alias", text_or_null(n->alias));
	(void)json_object_set_new(j, "netns",
				  n->netns_inum ? json_sprintf("net:[%u]", n->netns_inum) :
						  json_string("host"));
	(void)json_object_set_new(j, "index", count(n->index));
	(void)json_object_set_new(j, "ifindex", count(n->ifindex));
	(void)json_object_set_new(j, "attached", json_boolean(n->attached));
	(void)json_object_set_new(j, "rx", rx);
	(void)json_object_set_new(j, "tx", vnic_direction(a, b, n, o, VS_DIR_TX));
	(void)json_object_set_new(j, "vhost",
				  n->vhost_blind ? json_null() : vs_report_vhost(a, b, n->uid));
	return j;
}

static void part_over_time(const struct vs_disk_sample *n, const struct vs_disk_sample *o,
			   uint32_t part, struct vs_hist *ret)
{
	struct vs_hist was;

	vs_disk_part(&n->row, part, ret);
	if (o) {
		vs_disk_part(&o->row, part, &was);
		vs_hist_diff(ret, &was, ret);
	}
}

static uint64_t requests(const struct vs_disk_sample *n, const struct vs_disk_sample *o)
{
	struct vs_hist h;

	part_over_time(n, o, VS_PART_TOTAL, &h);
	return vs_hist_count(&h);
}

static json_t *disk_op(const struct vs_disk_sample *n, const struct vs_disk_sample *o)
{
	static const char *const keys[] = { "queue_us", "device_us", "total_us" };
	json_t *j = json_object();
	struct vs_hist h;

	(void)json_object_set_new(j, "count", count(requests(n, o)));
	(void)json_object_set_new(j, "bytes", count(n->row.bytes - (o ? o->row.bytes : 0)));
	(void)json_object_set_new(j, "errors", count(n->row.errors - (o ? o->row.errors : 0)));
	(void)json_object_set_new(j, "by_cgroup",
				  count(n->row.by_cgroup - (o ? o->row.by_cgroup : 0)));
	for (uint32_t p = 0; p < VS_PART__N; p++) {
		json_t *part = json_object();

		part_over_time(n, o, p, &h);
		(void)json_object_set_new(part, "count", count(vs_hist_count(&h)));
		vs_report_set_distribution(part, &h);
		(void)json_object_set_new(j, keys[p], part);
	}
	/* Throttling and tag waits lie before the request: tier 2 sees them. */
	(void)json_object_set_new(j, "pre_queue_us", json_null());
	return j;
}

/* A disk's ops with nothing in them: what was not asked for is a measured 0. */
static json_t *idle_op(void)
{
	static const struct vs_disk_sample none;

	return disk_op(&none, NULL);
}

/* Disks of @vm_uid; rows of one device stand together, b is sorted. */
static json_t *disks(const struct vs_sample *a, const struct vs_sample *b, uint64_t vm_uid)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->disks_n;) {
		const struct vs_disk_sample *d = &b->disks[i];
		uint64_t active = 0;
		json_t *j, *ops;

		if (d->vm_uid != vm_uid) {
			i++;
			continue;
		}
		ops = json_object();
		for (uint32_t op = 0; op < VS_OP__N; op++)
			(void)json_object_set_new(ops, vs_op_name(op), json_null());
		for (; i < b->disks_n && b->disks[i].vm_uid == vm_uid && b->disks[i].dev == d->dev;
		     i++) {
			const struct vs_disk_sample *n = &b->disks[i];
			const struct vs_disk_sample *o =
				vs_sample_find_disk(a, vm_uid, n->dev, n->op);

			active += requests(n, o);
			(void)json_object_set_new(ops, vs_op_name(n->op), disk_op(n, o));
		}
		for (uint32_t op = 0; op < VS_OP__N; op++)
			if (json_is_null(json_object_get(ops, vs_op_name(op))) &&
			    !(op == VS_OP_FLUSH && b->flush_blind))
				(void)json_object_set_new(ops, vs_op_name(op), idle_op());
		if (!active && !vm_uid) { /* quiet disks of nobody are no news */
			json_decref(ops);
			continue;
		}
		j = json_pack("{s:s,s:s,s:s,s:o}", "device", d->info->name, "layer",
			      d->info->logical ? "logical" : "physical", "kind", d->info->kind,
			      "backing", text_or_null(d->info->backing));
		(void)json_object_set_new(j, "ops", ops);
		(void)json_array_append_new(list, j);
	}
	return list;
}

static json_t *libvirt(const struct vs_vm_libvirt *l)
{
	if (!l->known && !*l->disagreement)
		return json_null();
	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "id", l->known ? json_integer(l->id) : json_null(),
			 "state", text_or_null(l->state), "reason", text_or_null(l->reason),
			 "title", text_or_null(l->title), "disagreement",
			 text_or_null(l->disagreement));
}

static json_t *labels(const struct vs_vm_sample *v)
{
	json_t *j = json_object();

	for (uint32_t i = 0; i < v->labels_n; i++)
		(void)json_object_set_new(j, v->labels[i].name, json_string(v->labels[i].value));
	return j;
}

static json_t *vm(const struct vs_sample *a, const struct vs_sample *b, const struct vs_vm_sample *v)
{
	json_t *j = json_object(), *images = json_array(), *vnics = json_array();

	(void)json_object_set_new(j, "name", json_string(v->name));
	(void)json_object_set_new(j, "uuid", text_or_null(v->uuid));
	(void)json_object_set_new(j, "pid", count(v->pid));
	(void)json_object_set_new(j, "source", json_string(v->source));
	(void)json_object_set_new(j, "running", json_boolean(!v->ended));
	(void)json_object_set_new(j, "cpu", vs_cpu_report(a, b, v));
	(void)json_object_set_new(j, "libvirt", libvirt(&v->libvirt));
	(void)json_object_set_new(j, "labels", labels(v));
	(void)json_object_set_new(j, "memory",
				  json_pack("{s:o,s:o,s:o}", "used_bytes",
					    count_or_null(v->memory_used), "total_bytes",
					    count_or_null(v->memory_total), "balloon_bytes",
					    count_or_null(v->memory_balloon)));
	for (uint32_t i = 0; i < v->images_n; i++)
		(void)json_array_append_new(
			images, json_pack("{s:s,s:o}", "path", v->images[i].path, "target",
					  text_or_null(v->images[i].target)));
	(void)json_object_set_new(j, "images", images);
	for (size_t i = 0; i < b->vnics_n; i++)
		if (b->vnics[i].vm_uid == v->uid)
			(void)json_array_append_new(vnics, vnic(a, b, &b->vnics[i]));
	(void)json_object_set_new(j, "vnics", vnics);
	(void)json_object_set_new(j, "disks", disks(a, b, v->uid));
	return j;
}

json_t *vs_report_build(const struct vs_sample *older, const struct vs_sample *newer,
			const struct vs_report_context *context)
{
	json_t *j = json_object(), *probes = json_object(), *vms = json_array();
	char start[VS_RFC3339__N];
	uint64_t unused;

	if (!j)
		return NULL;
	vs_clock_rfc3339(older->wall_ns, start);
	(void)json_object_set_new(j, "schema", json_string("virtscope.report/1"));
	(void)json_object_set_new(j, "host", json_string(context->host));
	(void)json_object_set_new(j, "kernel", json_string(context->kernel));
	(void)json_object_set_new(j, "start", json_string(start));
	(void)json_object_set_new(j, "duration_s",
				  json_real(round((double)(newer->mono_ns - older->mono_ns) / 1e3) / 1e6));
	(void)json_object_set_new(j, "running_as", json_string(context->running_as));
	(void)json_object_set_new(j, "source",
				  json_string(newer->synthetic ? "synthetic" : "live"));
	for (uint32_t i = 0; i < newer->self.probes_n; i++)
		(void)json_object_set_new(
			probes, newer->self.probes[i].name,
			json_pack("{s:s,s:o}", "state", newer->self.probes[i].state, "reason",
				  text_or_null(newer->self.probes[i].reason)));
	(void)json_object_set_new(j, "probes", probes);
	for (size_t i = 0; i < newer->vms_n; i++)
		(void)json_array_append_new(vms, vm(older, newer, &newer->vms[i]));
	(void)json_object_set_new(j, "vms", vms);
	(void)json_object_set_new(j, "unattributed",
				  json_pack("{s:o,s:o}", "disks", disks(older, newer, 0), "drops",
					    drops(older, newer, 0, -1, &unused)));
	(void)json_object_set_new(j, "self", vs_report_self(older, newer));
	return j;
}
