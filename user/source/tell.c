/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/tell.h"

#include "base/clock.h"
#include "model/event.h"

#include <errno.h>
#include <string.h>

/* How long libvirt may take to say why a VM began, or ended. It tells of a
 * migration as it begins, of a restored VM when its memory has been read, and of
 * an end when it has cleaned up behind it. */
#define START_WAIT_NS (10 * VS_NS_PER_S)
#define STOP_WAIT_NS (5 * VS_NS_PER_S)

struct waiting_event {
	const char *type, *severity;
	json_t *data;
	struct waiting_event *next;
};

struct waiting_start {
	uint64_t vm_uid, due_ns;
	struct waiting_event *events; /* to be told behind it, in this order */
	struct waiting_start *next;
};

struct waiting_stop {
	char name[VS_NAME__N], uuid[VS_UUID__N];
	uint32_t pid;
	uint64_t due_ns;
	struct waiting_stop *next;
};

struct vs_tell {
	struct vs_loop *loop;
	struct vs_live *const *live;
	vs_emit_fn emit;
	void *to;
	int timer;
	struct waiting_start *starts;
	struct waiting_stop *stops;
};

static struct vs_event_vm name_of(const struct vs_vm_entry *vm)
{
	return (struct vs_event_vm){ .name = vm->name, .uuid = vs_vm_uuid(vm), .pid = vm->pid };
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

static json_t *describe_vnic(const struct vs_vnic_entry *n)
{
	return json_pack("{s:s,s:o,s:I}", "vnic", n->name, "netns",
			 n->netns_inum ? json_sprintf("net:[%u]", n->netns_inum)
				       : json_string("host"),
			 "ifindex", (json_int_t)n->id.ifindex);
}

/* libvirt restores and migrates with one and the same -incoming, so where it
 * has said how the VM began, it knows better than the command line. */
static const char *start_cause(const struct vs_vm_entry *vm)
{
	if (vm->found)
		return "found";
	if (vm->domain && *vm->domain->cause && strcmp(vm->domain->cause, "unknown") != 0)
		return vm->domain->cause;
	return vm->facts.incoming ? vm->facts.incoming : "boot";
}

static void emit_start(struct vs_tell *t, const struct vs_vm_entry *vm)
{
	struct vs_event_vm who = name_of(vm);

	t->emit(t->to, "vm.start", "info", &who,
		json_pack("{s:s,s:s}", "cause", start_cause(vm), "source",
			  vm->domain ? "libvirt" : "proc"));
}

static void emit_stop(struct vs_tell *t, const struct vs_event_vm *who, const char *reason)
{
	bool bad = strcmp(reason, "crashed") == 0 || strcmp(reason, "failed") == 0;

	t->emit(t->to, "vm.stop", bad ? "warning" : "info", who,
		json_pack("{s:s}", "reason", *reason ? reason : "unknown"));
}

static struct waiting_start **start_of(struct vs_tell *t, const struct vs_vm_entry *vm)
{
	struct waiting_start **at = &t->starts;

	while (*at && (*at)->vm_uid != vm->uid)
		at = &(*at)->next;
	return at;
}

/* The start, and what came meanwhile. */
static void settle(struct vs_tell *t, const struct vs_vm_entry *vm)
{
	struct waiting_start **at = start_of(t, vm), *w = *at;
	struct vs_event_vm who = name_of(vm);

	if (!w)
		return;
	*at = w->next;
	emit_start(t, vm);
	while (w->events) {
		struct waiting_event *e = w->events;

		w->events = e->next;
		t->emit(t->to, e->type, e->severity, &who, e->data);
		free(e);
	}
	free(w);
}

void vs_tell_event(struct vs_tell *t, const struct vs_vm_entry *vm, const char *type,
		   const char *severity, json_t *data)
{
	struct waiting_start *w = *start_of(t, vm);
	struct waiting_event *e = w ? calloc(1, sizeof(*e)) : NULL, **at;
	struct vs_event_vm who = name_of(vm);

	if (!e) {
		t->emit(t->to, type, severity, &who, data);
		return;
	}
	*e = (struct waiting_event){ .type = type, .severity = severity, .data = data };
	for (at = &w->events; *at; at = &(*at)->next)
		;
	*at = e;
}

/* Tells the end of @uuid (NULL: of all that are due at @now_ns). */
static void settle_stops(struct vs_tell *t, const char *uuid, uint64_t now_ns, const char *reason)
{
	for (struct waiting_stop **at = &t->stops; *at;) {
		struct waiting_stop *w = *at;
		struct vs_event_vm who = { .name = w->name, .uuid = w->uuid, .pid = w->pid };

		if (uuid ? strcmp(w->uuid, uuid) != 0 : w->due_ns > now_ns) {
			at = &w->next;
			continue;
		}
		emit_stop(t, &who, reason);
		*at = w->next;
		free(w);
	}
}

static void arm(struct vs_tell *t)
{
	uint64_t now = vs_clock_mono_ns(), first = UINT64_MAX;

	for (const struct waiting_start *w = t->starts; w; w = w->next)
		first = w->due_ns < first ? w->due_ns : first;
	for (const struct waiting_stop *w = t->stops; w; w = w->next)
		first = w->due_ns < first ? w->due_ns : first;
	if (first != UINT64_MAX)
		vs_loop_arm(t->timer, first > now ? first - now : 0);
}

static void settle_starts(struct vs_tell *t, uint64_t now_ns)
{
	bool again = true;

	while (again) {
		again = false;
		for (struct waiting_start *w = t->starts; w && !again; w = w->next) {
			const struct vs_vm_entry *vm = vs_live_vm(*t->live, w->vm_uid);

			if (vm && w->due_ns <= now_ns) {
				settle(t, vm);
				again = true;
			}
		}
	}
}

static void on_due(void *data, int fd)
{
	struct vs_tell *t = data;
	uint64_t now = vs_clock_mono_ns();

	(void)fd;
	settle_stops(t, NULL, now, "unknown");
	settle_starts(t, now);
	arm(t);
}

static bool libvirt_speaks(const struct vs_tell *t)
{
	return *t->live && vs_libvirt_state(vs_live_libvirt(*t->live)) == VS_LIBVIRT_CONNECTED;
}

static bool hold_start(struct vs_tell *t, const struct vs_vm_entry *vm)
{
	struct waiting_start *w;

	if (vm->found || !vm->facts.incoming || !libvirt_speaks(t))
		return false;
	w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	w->vm_uid = vm->uid;
	w->due_ns = vs_clock_mono_ns() + START_WAIT_NS;
	w->next = t->starts;
	t->starts = w;
	arm(t);
	return true;
}

static bool hold_stop(struct vs_tell *t, const struct vs_vm_entry *vm)
{
	struct waiting_stop *w, **at = &t->stops;

	if (!vm->domain || !libvirt_speaks(t))
		return false;
	w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	memcpy(w->name, vm->name, sizeof(w->name));
	memcpy(w->uuid, vm->domain->uuid, sizeof(w->uuid));
	w->pid = vm->pid;
	w->due_ns = vs_clock_mono_ns() + STOP_WAIT_NS;
	while (*at)
		at = &(*at)->next;
	*at = w;
	arm(t);
	return true;
}

void vs_tell_change(void *data, enum vs_change change, const struct vs_vm_entry *vm,
		    const struct vs_vnic_entry *vnic)
{
	struct vs_tell *t = data;
	struct vs_event_vm who = name_of(vm);

	switch (change) {
	case VS_VM_LEAVING:
		break;
	case VS_VM_STARTED:
		/* A domain that begins anew has ended before. */
		if (*who.uuid)
			settle_stops(t, who.uuid, 0, "unknown");
		if (!hold_start(t, vm))
			emit_start(t, vm);
		break;
	case VS_VM_STOPPED:
		settle(t, vm);
		if (!hold_stop(t, vm))
			emit_stop(t, &who, vm->stop_reason);
		break;
	case VS_VNIC_ATTACHED:
		vs_tell_event(t, vm, "vnic.attach", "info", describe_vnic(vnic));
		break;
	case VS_VNIC_DETACHED:
		vs_tell_event(t, vm, "vnic.detach", "info", describe_vnic(vnic));
		break;
	}
}

static bool is_bad(const struct vs_domain *d)
{
	static const char *const bad[] = { "ioerror", "watchdog", "crashed", "panicked" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (strcmp(d->reason, bad[i]) == 0)
			return true;
	return strcmp(d->state, "crashed") == 0;
}

static void tell_of_vm(struct vs_tell *t, const struct vs_news *news)
{
	const struct vs_domain *d = news->domain;
	const struct vs_domain_disk *disk = news->disk;

	switch (news->kind) {
	case VS_NEWS_VM_STATE:
		vs_tell_event(t, news->vm, "vm.state", is_bad(d) ? "warning" : "info",
			      json_pack("{s:s,s:s,s:s}", "state", d->state, "reason", d->reason,
					"was", news->text));
		break;
	case VS_NEWS_DISK_ATTACHED:
	case VS_NEWS_DISK_DETACHED:
		vs_tell_event(t, news->vm,
			      news->kind == VS_NEWS_DISK_ATTACHED ? "disk.attach" : "disk.detach",
			      "info",
			      json_pack("{s:s,s:o}", "target", disk->target, "path",
					text_or_null(disk->path)));
		break;
	case VS_NEWS_DISK_IO_ERROR:
		vs_tell_event(t, news->vm, "disk.io_error", "warning",
			      json_pack("{s:s,s:o,s:s,s:o,s:I}", "target", disk->target, "path",
					text_or_null(disk->path), "action", news->text, "reason",
					text_or_null(news->reason), "count",
					(json_int_t)news->count));
		break;
	default:
		break;
	}
}

void vs_tell_news(void *data, const struct vs_news *news)
{
	struct vs_tell *t = data;

	switch (news->kind) {
	case VS_NEWS_LIBVIRT_LOST:
		t->emit(t->to, "libvirt.lost", news->was_connected ? "warning" : "info", NULL,
			json_pack("{s:s,s:b}", "reason", news->text, "was_connected",
				  news->was_connected));
		settle_stops(t, NULL, UINT64_MAX, "unknown");
		settle_starts(t, UINT64_MAX);
		break;
	case VS_NEWS_LIBVIRT_RESTORED:
		t->emit(t->to, "libvirt.restored", "info", NULL,
			json_pack("{s:f}", "lost_s", news->seconds));
		break;
	case VS_NEWS_VM_GONE:
		settle_stops(t, news->domain->uuid, 0, news->domain->reason);
		break;
	case VS_NEWS_VM_DESCRIBED:
		/* While it is being restored, libvirt does not say so yet. */
		if (*news->domain->cause)
			settle(t, news->vm);
		break;
	default:
		tell_of_vm(t, news);
	}
}

int vs_tell_new(struct vs_loop *loop, struct vs_live *const *live, vs_emit_fn emit, void *to,
		struct vs_tell **ret)
{
	struct vs_tell *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->live = live;
	t->emit = emit;
	t->to = to;
	t->timer = vs_loop_timer(loop, on_due, t);
	if (t->timer < 0) {
		int r = t->timer;

		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

bool vs_tell_holds(const struct vs_tell *t, uint64_t vm_uid)
{
	for (const struct waiting_start *w = t->starts; w; w = w->next)
		if (w->vm_uid == vm_uid)
			return true;
	return false;
}

void vs_tell_free(struct vs_tell **tell)
{
	struct vs_tell *t = *tell;

	if (!t)
		return;
	settle_stops(t, NULL, UINT64_MAX, "unknown");
	while (t->starts) {
		struct waiting_start *w = t->starts;

		t->starts = w->next;
		while (w->events) {
			struct waiting_event *e = w->events;

			w->events = e->next;
			json_decref(e->data);
			free(e);
		}
		free(w);
	}
	vs_loop_remove(t->loop, t->timer);
	free(t);
	*tell = NULL;
}
