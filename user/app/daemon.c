/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/daemon.h"

#include "app/notify.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

/* self.lost says what was lost since the last one, not more often. */
#define LOST_EVERY_TICKS 10
/* So often threads are looked at although nobody asks. */
#define THREADS_EVERY_TICKS 10

struct vs_held_event {
	uint64_t vm_uid;
	const char *type, *severity;
	json_t *data;
	struct vs_held_event *next;
};

void vs_daemon_emit(void *daemon, const char *type, const char *severity,
		    const struct vs_event_vm *vm, json_t *data)
{
	struct vs_daemon *d = daemon;
	json_t *event = vs_events_wrap(&d->events, vs_clock_wall_ns(), type, severity, vm, data);

	if (!event)
		return;
	vs_sinks_emit(d->sinks, event);
	vs_events_commit(&d->events);
	json_decref(event);
}

static void emit_of(struct vs_daemon *d, const struct vs_vm_sample *vm, const char *type,
		    const char *severity, json_t *data)
{
	struct vs_event_vm who = { .name = vm->name, .uuid = vm->uuid, .pid = vm->pid };

	vs_daemon_emit(d, type, severity, &who, data);
}

void vs_daemon_tell(struct vs_daemon *d, const struct vs_vm_sample *vm, const char *type,
		    const char *severity, json_t *data)
{
	struct vs_held_event *h = vm->announced ? NULL : calloc(1, sizeof(*h)), **at;

	if (!h) {
		emit_of(d, vm, type, severity, data);
		return;
	}
	*h = (struct vs_held_event){
		.vm_uid = vm->uid, .type = type, .severity = severity, .data = data
	};
	for (at = &d->held; *at; at = &(*at)->next)
		;
	*at = h;
}

/* Those whose VM's start has been told meanwhile; those whose VM has gone are
 * forgotten with it. */
static void tell_held(struct vs_daemon *d)
{
	for (struct vs_held_event **at = &d->held; *at;) {
		struct vs_held_event *h = *at;
		const struct vs_vm_sample *vm = vs_sample_find_vm(&d->sample, h->vm_uid);

		if (vm && !vm->announced) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		if (vm)
			emit_of(d, vm, h->type, h->severity, h->data);
		else
			json_decref(h->data);
		free(h);
	}
}

static void on_burst(void *data, uint64_t vnic_uid, uint32_t raw_reason)
{
	struct vs_daemon *d = data;

	vs_burst_note(d->bursts, vnic_uid, raw_reason, vs_clock_mono_ns());
}

static void on_burst_due(void *data, const struct vs_burst_finding *f)
{
	struct vs_daemon *d = data;
	const struct vs_vnic_sample *n = vs_sample_find_vnic(&d->sample, f->vnic_uid);
	const struct vs_vm_sample *vm = n ? vs_sample_find_vm(&d->sample, n->vm_uid) : NULL;

	if (!vm)
		return;
	vs_daemon_tell(d, vm, "drop.burst", "warning",
		       json_pack("{s:s,s:o,s:I,s:s,s:s,s:o,s:o,s:I,s:f}", "vnic", n->name, "netns",
				 n->netns_inum ? json_sprintf("net:[%u]", n->netns_inum) :
						 json_string("host"),
				 "ifindex", (json_int_t)n->ifindex, "direction",
				 f->direction == VS_DIR_RX ? "rx" : "tx", "site",
				 vs_site_name(f->site), "reason",
				 *f->reason ? json_string(f->reason) : json_null(), "location",
				 *f->location ? json_string(f->location) : json_null(), "count",
				 (json_int_t)f->count, "over_s", (double)f->over_ns / 1e9));
}

static void on_anomaly(void *data, const struct vs_anomaly *a)
{
	struct vs_daemon *d = data;
	const struct vs_vm_sample *vm = vs_sample_find_vm(&d->sample, a->vm_uid);

	if (vm) /* else its vm.stop says it all */
		vs_daemon_tell(d, vm, "anomaly", vs_anomaly_severity(a), vs_anomaly_data(a));
}

static void on_lost(void *data, const char *why)
{
	struct vs_daemon *d = data;

	vs_error("run: %s; nothing can be measured any more, ending", why);
	d->failed = true;
	vs_loop_stop(d->loop);
}

struct vs_source_listener vs_daemon_listener(struct vs_daemon *d)
{
	return (struct vs_source_listener){
		.event = vs_daemon_emit, .burst = on_burst, .lost = on_lost, .data = d
	};
}

/* Nothing here reads the threads, which are dearer than all the rest; a page that is
 * asked for does. */
static enum vs_look look_of(const struct vs_daemon *d)
{
	if (vs_http_wants_whole(d->http))
		return VS_LOOK_WHOLE;
	return vs_http_is_read(d->http) || d->ticks % THREADS_EVERY_TICKS == 0 ? VS_LOOK_THREADS : VS_LOOK_TICK;
}

static void tick(struct vs_daemon *d)
{
	vs_sinks_tick(d->sinks, vs_clock_mono_ns(), vs_daemon_emit, d);
	if (vs_source_sample(&d->source, look_of(d), &d->sample)) {
		vs_http_tick(d->http, NULL);
		return;
	}
	vs_daemon_fill_self(d, &d->sample.self);
	vs_notify_alive((uint32_t)d->sample.vms_n);
	tell_held(d);
	vs_burst_tick(d->bursts, &d->sample, on_burst_due, d);
	vs_anomaly_tick(d->anomalies, &d->sample, on_anomaly, d);
	if (++d->ticks % LOST_EVERY_TICKS == 0)
		vs_daemon_tell_losses(d);
	vs_http_tick(d->http, &d->sample);
}

void vs_daemon_tick(void *daemon, int fd)
{
	struct vs_daemon *d = daemon;

	(void)fd;
	vs_pace_begin(&d->pace, vs_clock_mono_ns());
	tick(d);
	vs_pace_end(&d->pace, vs_clock_mono_ns());
}

void vs_daemon_done(struct vs_daemon *d)
{
	vs_http_free(&d->http);
	vs_control_free(&d->control);
	vs_source_free(&d->source);
	while (d->held) {
		struct vs_held_event *h = d->held;

		d->held = h->next;
		json_decref(h->data);
		free(h);
	}
	vs_anomaly_free(&d->anomalies);
	vs_burst_free(&d->bursts);
	vs_sinks_free(&d->sinks);
	vs_event_memory_free(&d->memory);
	vs_events_close(&d->events);
	vs_sample_done(&d->sample);
	vs_loop_free(&d->loop);
	free(d->settings);
}
