/* SPDX-License-Identifier: GPL-2.0-or-later */
/* subjects.c - whose series: VMs and their devices, who is named and who is "other". */
#include "serve/exports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* For the two rows of losses, rx and tx, of which the VM's account has no more room
 * for site and reason. */
#define OTHER_DROPS 2

static void init_subject(struct vs_subject *s)
{
	s->whole.subject = s;
	s->whole.kind = VS_DEVICE_NONE;
	s->whole.into = &s->whole;
}

/* What rows of one device or VM cost at most, by trying what levels may look at. */
static uint32_t cost_of(const struct vs_exports *series, enum vs_collector c, uint32_t dirs,
			uint32_t ops, uint32_t parts, bool detail)
{
	struct vs_disk_sample disk = {0};
	struct vs_metric_context context = {.disk = &disk};
	uint32_t n = 0;

	for (context.dir = 0; context.dir < dirs; context.dir++)
		for (disk.op = 0; disk.op < ops; disk.op++)
			for (context.part = 0; context.part < parts; context.part++)
				n += vs_exports_cost(
					series, c, vs_exports_wanted(series, c, &context, detail));
	return n;
}

void vs_subjects_init(struct vs_exports *series)
{
	struct vs_subject *const all[] = {&series->other, &series->nobody, &series->host};

	for (int d = 0; d < 2; d++) {
		bool detail = d;

		series->cost_vm[d] =
			cost_of(series, VS_COLLECT_VM, 1, 1, 1, detail) +
			cost_of(series, VS_COLLECT_INFO_VM, 1, 1, 1, detail) +
			cost_of(series, VS_COLLECT_INFO_STATE, 1, 1, 1, detail) +
			cost_of(series, VS_COLLECT_KVM, 1, 1, 1, detail) +
			cost_of(series, VS_COLLECT_ROLE, 1, 1, 1, detail) * VS_ROLE__N +
			cost_of(series, VS_COLLECT_KVM_EXIT, 1, 1, 1, detail) * VS_KVM_STAT__N +
			OTHER_DROPS;
		series->cost[VS_DEVICE_VNIC][d] =
			cost_of(series, VS_COLLECT_VNIC, 1, 1, 1, detail) +
			cost_of(series, VS_COLLECT_INFO_VNIC, 1, 1, 1, detail) +
			cost_of(series, VS_COLLECT_VNIC_DIR, 2, 1, 1, detail) +
			cost_of(series, VS_COLLECT_HARMLESS, 2, 1, 1, detail) * VS_CLASS__N +
			cost_of(series, VS_COLLECT_VIRTQ, 2, 1, 1, detail);
		series->cost[VS_DEVICE_PHYSICAL][d] = series->cost[VS_DEVICE_LOGICAL][d] =
			cost_of(series, VS_COLLECT_DISK, 1, VS_OP__N, 1, detail) +
			cost_of(series, VS_COLLECT_DISK_PART, 1, VS_OP__N, VS_PART__N, detail);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		init_subject(all[i]);
		all[i]->limit = 10 * series->options.series_per_vm;
	}
	series->other.label = (char *)VS_EXPORTS_OTHER;
	series->nobody.label = series->host.label = (char *)"";
}

static bool in_detail(const struct vs_exports_options *o, const char *name)
{
	for (uint32_t i = 0; i < o->detail_n; i++)
		if (strcmp(o->detail[i], name) == 0 || strcmp(o->detail[i], "*") == 0)
			return true;
	return false;
}

static void free_device(struct vs_exports *series, struct vs_device *d)
{
	vs_exports_free_rows(series, d);
	if (d->label != d->base)
		free(d->label);
	free(d->base);
	free(d);
}

static void free_subject(struct vs_exports *series, struct vs_subject *s)
{
	struct vs_device *d, *tmp;

	DL_FOREACH_SAFE(s->devices, d, tmp)
	{
		DL_DELETE(s->devices, d);
		if (d->into != d && !s->folded && s != &series->nobody)
			series->folded[d->kind == VS_DEVICE_VNIC ? VS_FOLDED_VNIC
								 : VS_FOLDED_DISK]--;
		free_device(series, d);
	}
	for (int k = 0; k < VS_DEVICE__N; k++)
		if (s->other[k])
			free_device(series, s->other[k]);
	vs_exports_free_rows(series, &s->whole);
}

static void free_vm(struct vs_exports *series, struct vs_subject *s)
{
	free_subject(series, s);
	if (s->folded)
		series->folded[VS_FOLDED_VM]--;
	else
		series->named--;
	HASH_DEL(series->vms, s);
	if (s->label != s->base)
		free(s->label);
	free(s->base);
	free(s->name);
	free(s);
}

/* Return: 0, with name and escaped name set, or -ENOMEM with both untouched. */
static int set_name(struct vs_exports *series, struct vs_subject *s, const char *name)
{
	char escaped[VS_ESCAPED__N];
	char *copy = strdup(name), *base = strdup(vs_exports_escape(name, escaped));

	if (!copy || !base) {
		free(copy);
		free(base);
		return -ENOMEM;
	}
	if (s->label != s->base)
		free(s->label);
	free(s->base);
	free(s->name);
	s->name = copy;
	s->base = s->label = base;
	series->relabel = true;
	return 0;
}

struct vs_subject *vs_subjects_find(struct vs_exports *series, uint64_t uid)
{
	struct vs_subject *s;

	HASH_FIND(hh, series->vms, &uid, sizeof(uid), s);
	return s;
}

struct vs_subject *vs_subjects_vm(struct vs_exports *series, const struct vs_vm_sample *vm)
{
	const struct vs_exports_options *o = &series->options;
	struct vs_subject *s = vs_subjects_find(series, vm->uid);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s || set_name(series, s, vm->name)) {
			free(s);
			return NULL;
		}
		init_subject(s);
		s->uid = vm->uid;
		s->pid = vm->pid;
		s->folded = series->named >= o->vms;
		s->detail = !s->folded && in_detail(o, vm->name);
		s->limit = o->series_per_vm * (s->detail ? 10 : 1);
		s->used = series->cost_vm[s->detail];
		series->folded[VS_FOLDED_VM] += s->folded;
		series->named += !s->folded;
		HASH_ADD(hh, series->vms, uid, sizeof(s->uid), s);
	} else if (strcmp(s->name, vm->name) != 0) {
		/* libvirt's name may come later than the VM; detail stays as it was */
		(void)set_name(series, s, vm->name);
	}
	s->gen = series->gen;
	return s;
}

static struct vs_device *new_device(struct vs_subject *s, enum vs_device_kind kind,
				    const char *name)
{
	struct vs_device *d = calloc(1, sizeof(*d));
	char escaped[VS_ESCAPED__N];

	if (!d)
		return NULL;
	d->subject = s;
	d->kind = kind;
	d->into = d;
	(void)snprintf(d->name, sizeof(d->name), "%s", name);
	d->base = d->label = strdup(vs_exports_escape(d->name, escaped));
	if (!d->base) {
		free(d);
		return NULL;
	}
	return d;
}

static struct vs_device *other_device(struct vs_subject *s, enum vs_device_kind kind)
{
	if (!s->other[kind])
		s->other[kind] = new_device(s, kind, VS_EXPORTS_OTHER);
	return s->other[kind];
}

struct vs_device *vs_subjects_other_vnic(struct vs_exports *series, struct vs_subject *s)
{
	(void)series;
	return other_device(s, VS_DEVICE_VNIC);
}

/* Could be taken for a name that was told apart, or for "other". */
static bool ambiguous(const char *base)
{
	const char *tilde = strrchr(base, '~');

	if (strcmp(base, VS_EXPORTS_OTHER) == 0)
		return true;
	return tilde && tilde[1] && tilde[1 + strspn(tilde + 1, "0123456789")] == '\0';
}

static int tell_apart(char **label, char *base, bool apart, uint64_t number)
{
	char *text = base;

	if (apart && asprintf(&text, "%s~%llu", base, (unsigned long long)number) < 0)
		return -ENOMEM;
	if (*label != base)
		free(*label);
	*label = text;
	return 0;
}

static bool same_class(enum vs_device_kind a, enum vs_device_kind b)
{
	return (a == VS_DEVICE_VNIC) == (b == VS_DEVICE_VNIC);
}

/* Turns the newest named device of @kind into the "other" one: the series of that
 * name end, and "other" goes on from where they were. */
static struct vs_device *fold_newest(struct vs_exports *series, struct vs_subject *s,
				     enum vs_device_kind kind)
{
	struct vs_device *d, *newest = NULL, *other;
	struct vs_row *row, *tmp;

	DL_FOREACH(s->devices, d)
	{
		if (d->kind == kind && d->into == d)
			newest = d;
	}
	other = newest ? other_device(s, kind) : NULL;
	if (!other)
		return NULL;
	DL_FOREACH_SAFE2(newest->rows, row, tmp, dnext)
	{
		if (row->collector == VS_COLLECT_INFO_VNIC)
			continue; /* not set again, hence swept */
		DL_DELETE2(newest->rows, row, dprev, dnext);
		row->device = other;
		DL_APPEND2(other->rows, row, dprev, dnext);
	}
	newest->into = other;
	other->paid = true;
	newest->paid = false;
	series->folded[kind == VS_DEVICE_VNIC ? VS_FOLDED_VNIC : VS_FOLDED_DISK]++;
	return other;
}

static void place(struct vs_exports *series, struct vs_subject *s, struct vs_device *d)
{
	uint32_t cost = series->cost[d->kind][s->detail];
	struct vs_device *into = NULL;

	if (s->folded) {
		into = other_device(&series->other, d->kind);
		d->into = into ? into : d;
		return;
	}
	if (s->used + cost <= s->limit) {
		d->paid = true;
		s->used += cost;
		return;
	}
	if (s->other[d->kind] && s->other[d->kind]->paid)
		into = s->other[d->kind];
	if (!into)
		into = fold_newest(series, s, d->kind);
	if (!into) /* not even one: of no VM's name any more */
		into = other_device(s == &series->nobody ? s : &series->other, d->kind);
	d->into = into ? into : d;
	if (into && s != &series->nobody)
		series->folded[d->kind == VS_DEVICE_VNIC ? VS_FOLDED_VNIC : VS_FOLDED_DISK]++;
}

struct vs_device *vs_subjects_device(struct vs_exports *series, struct vs_subject *s,
				     enum vs_device_kind kind, uint64_t key, const char *name)
{
	struct vs_device *d, *twin = NULL;

	DL_FOREACH(s->devices, d)
	{
		if (d->kind == kind && d->key == key && strcmp(d->name, name) == 0)
			break;
		if (same_class(d->kind, kind) && strcmp(d->name, name) == 0)
			twin = d;
	}
	if (!d) {
		d = new_device(s, kind, name);
		if (!d)
			return NULL;
		d->key = key;
		if (tell_apart(&d->label, d->base, twin || ambiguous(d->base), key)) {
			free_device(series, d);
			return NULL;
		}
		place(series, s, d);
		DL_APPEND(s->devices, d);
	}
	d->gen = series->gen;
	return d;
}

struct named {
	const char *base;
	struct vs_subject *vm;
	uint32_t n;
	UT_hash_handle hh;
};

int vs_subjects_relabel(struct vs_exports *series)
{
	struct named *names = NULL, *all = calloc(HASH_COUNT(series->vms) + 1, sizeof(*all)), *n;
	struct vs_subject *s, *tmp;
	size_t i = 0;
	int r = all ? 0 : -ENOMEM;

	if (r)
		return r;
	HASH_ITER(hh, series->vms, s, tmp)
	{
		if (s->gen != series->gen || s->folded)
			continue;
		HASH_FIND(hh, names, s->base, strlen(s->base), n);
		if (!n) {
			n = &all[i++];
			n->base = s->base;
			HASH_ADD_KEYPTR(hh, names, n->base, strlen(n->base), n);
		}
		n->n++;
	}
	HASH_ITER(hh, series->vms, s, tmp)
	{
		if (s->gen != series->gen || s->folded)
			continue;
		HASH_FIND(hh, names, s->base, strlen(s->base), n);
		if (!r)
			r = tell_apart(&s->label, s->base, n->n > 1 || ambiguous(s->base), s->pid);
	}
	HASH_CLEAR(hh, names);
	free(all);
	series->relabel = r != 0;
	return r;
}

/* Marks what the sample did not have. Return: whether there was any. */
static bool mark_dead(struct vs_exports *series, struct vs_subject *s)
{
	bool gone = s->gen != series->gen, any = gone;
	struct vs_device *d;

	s->whole.dead = gone;
	for (int k = 0; k < VS_DEVICE__N; k++)
		if (s->other[k])
			s->other[k]->dead = gone;
	DL_FOREACH(s->devices, d)
	{
		d->dead = gone || d->gen != series->gen;
		any |= d->dead;
	}
	return any;
}

/* Each was paid for on its own: see collectors.c. */
static uint32_t drop_rows(const struct vs_device *d)
{
	const struct vs_row *row;
	uint32_t n = 0;

	DL_FOREACH2(d->rows, row, dnext)
	{
		n += row->collector == VS_COLLECT_DROP;
	}
	return n;
}

static void sweep_devices(struct vs_exports *series, struct vs_subject *s)
{
	struct vs_device *d, *tmp;

	DL_FOREACH_SAFE(s->devices, d, tmp)
	{
		if (!d->dead)
			continue;
		DL_DELETE(s->devices, d);
		s->used -= drop_rows(d);
		if (d->paid)
			s->used -= series->cost[d->kind][s->detail];
		else if (!s->folded && d->into != d && s != &series->nobody)
			series->folded[d->kind == VS_DEVICE_VNIC ? VS_FOLDED_VNIC
								 : VS_FOLDED_DISK]--;
		free_device(series, d);
	}
}

void vs_subjects_sweep(struct vs_exports *series)
{
	struct vs_subject *s, *tmp;
	bool any;

	series->nobody.gen = series->gen;
	any = mark_dead(series, &series->nobody);
	HASH_ITER(hh, series->vms, s, tmp)
	{
		any |= mark_dead(series, s);
	}
	if (!any)
		return;
	vs_exports_bury(series);
	sweep_devices(series, &series->nobody);
	HASH_ITER(hh, series->vms, s, tmp)
	{
		if (!s->whole.dead) {
			sweep_devices(series, s);
			continue;
		}
		series->relabel = true;
		free_vm(series, s);
	}
}

void vs_subjects_done(struct vs_exports *series)
{
	struct vs_subject *s, *tmp;

	HASH_ITER(hh, series->vms, s, tmp)
	{
		free_vm(series, s);
	}
	free_subject(series, &series->other);
	free_subject(series, &series->nobody);
	free_subject(series, &series->host);
}
