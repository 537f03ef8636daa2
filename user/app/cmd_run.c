/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_run.c - the daemon: live source -> events -> sink, and the control socket. */
#include "app/options.h"
#include "app/permission.h"
#include "app/tell.h"
#include "base/clock.h"
#include "base/log.h"
#include "detect/burst.h"
#include "model/event.h"
#include "serve/control.h"
#include "sink/jsonl.h"
#include "sink/sinks.h"
#include "source/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define TICK_NS VS_NS_PER_S
/* self.lost says what was lost since the last one, not more often. */
#define LOST_EVERY_TICKS 10

struct daemon {
	struct vs_loop *loop;
	struct vs_live *live;
	struct vs_sinks *sinks;
	struct vs_events events;
	struct vs_burst_detector *bursts;
	struct vs_control *control;
	struct vs_tell *tell;
	struct vs_sample sample;
	uint64_t lost_told[VS_LOST__N];
	uint64_t recursion_told, slots_told;
	uint32_t ticks;
	struct utsname uts;
};

static void daemon_done(struct daemon *d)
{
	vs_control_free(&d->control);
	vs_live_free(&d->live);
	vs_tell_free(&d->tell);
	vs_burst_free(&d->bursts);
	vs_sinks_free(&d->sinks);
	vs_events_close(&d->events);
	vs_sample_done(&d->sample);
	vs_loop_free(&d->loop);
}

/* Takes @data's reference. */
static void emit(void *to, const char *type, const char *severity, const struct vs_event_vm *vm,
		 json_t *data)
{
	struct daemon *d = to;
	json_t *event =
		vs_events_wrap(&d->events, vs_clock_wall_ns(), type, severity, vm, data);

	if (!event)
		return;
	vs_sinks_emit(d->sinks, event);
	vs_events_commit(&d->events);
	json_decref(event);
}

static void on_disk(void *data, const struct vs_vm_entry *vm, const struct vs_disk_info *disk)
{
	struct daemon *d = data;

	vs_tell_event(d->tell, vm, "disk.seen", "info",
		      json_pack("{s:s,s:s,s:s,s:o}", "device", disk->name, "layer",
		       disk->logical ? "logical" : "physical", "kind", disk->kind, "backing",
		       disk->backing[0] ? json_string(disk->backing) : json_null()));
}

static void on_change(void *data, enum vs_change change, const struct vs_vm_entry *vm,
		      const struct vs_vnic_entry *vnic)
{
	struct daemon *d = data;

	vs_tell_change(d->tell, change, vm, vnic);
}

static void on_news(void *data, const struct vs_news *news)
{
	struct daemon *d = data;

	vs_tell_news(d->tell, news);
}

static void on_burst(void *data, uint64_t vnic_uid, uint32_t raw_reason)
{
	struct daemon *d = data;

	vs_burst_note(d->bursts, vnic_uid, raw_reason, vs_clock_mono_ns());
}

static void on_burst_due(void *data, const struct vs_burst_finding *f)
{
	struct daemon *d = data;
	const struct vs_vnic_sample *n = vs_sample_find_vnic(&d->sample, f->vnic_uid);
	const struct vs_vm_entry *vm = n ? vs_live_vm(d->live, n->vm_uid) : NULL;

	if (!vm)
		return;
	vs_tell_event(d->tell, vm, "drop.burst", "warning",
		      json_pack("{s:s,s:o,s:I,s:s,s:s,s:o,s:o,s:I,s:f}", "vnic", n->name, "netns",
		       n->netns_inum ? json_sprintf("net:[%u]", n->netns_inum) :
				       json_string("host"),
		       "ifindex", (json_int_t)n->ifindex, "direction",
		       f->direction == VS_DIR_RX ? "rx" : "tx", "site", vs_site_name(f->site),
		       "reason", *f->reason ? json_string(f->reason) : json_null(), "location",
		       *f->location ? json_string(f->location) : json_null(), "count",
		       (json_int_t)f->count, "over_s", (double)f->over_ns / 1e9));
}

static uint64_t recursion_misses(const struct vs_self_sample *self)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < self->programs_n; i++)
		n += self->programs[i].recursion_misses;
	return n;
}

/* Tells what was lost since *told, if anything, and moves *told on. */
static void tell_loss(struct daemon *d, const char *reason, const char *help, uint64_t now,
		      uint64_t *told)
{
	/* Programs that were detached take their counts with them. */
	uint64_t n = now > *told ? now - *told : 0;

	*told = now;
	if (n)
		emit(d, "self.lost", "warning", NULL,
		     json_pack("{s:s,s:I,s:s}", "reason", reason, "count", (json_int_t)n, "help",
			       help));
}

static void tell_losses(struct daemon *d)
{
	const struct vs_self_sample *self = &d->sample.self;

	for (uint32_t i = 0; i < VS_LOST__N; i++)
		tell_loss(d, vs_lost_name(i), vs_lost_help(i), self->lost[i], &d->lost_told[i]);
	tell_loss(d, "recursion_misses", "a program was skipped: it was interrupted by itself",
		  recursion_misses(self), &d->recursion_told);
	tell_loss(d, "slots_full", "a VM or vNIC for which no slot was left", self->slots_full,
		  &d->slots_told);
}

static void on_tick(void *data, int fd)
{
	struct daemon *d = data;

	(void)fd;
	if (vs_live_sample(d->live, &d->sample))
		return;
	vs_burst_tick(d->bursts, &d->sample, on_burst_due, d);
	if (++d->ticks % LOST_EVERY_TICKS == 0)
		tell_losses(d);
	vs_sinks_tick(d->sinks, vs_clock_mono_ns(), emit, d);
}

static void cancel_report(void *data, void *request)
{
	struct vs_window *window = request;

	(void)data;
	vs_window_free(&window);
}

static void *begin_report(void *data, bool deep)
{
	struct daemon *d = data;
	struct vs_window *window = NULL;

	return vs_window_open(d->live, deep, &window) ? NULL : window;
}

static json_t *finish_report(void *data, void *request)
{
	struct daemon *d = data;
	struct vs_report_context context = { .host = d->uts.nodename,
					     .kernel = d->uts.release,
					     .running_as = "daemon" };
	json_t *report = vs_window_report(request, &context);

	cancel_report(data, request);
	return report;
}

static void on_degraded(void *data, const struct vs_plan_probe *p)
{
	emit(data, "self.degraded", p->state == VS_STATE_FALLBACK ? "info" : "warning", NULL,
	     json_pack("{s:s,s:s,s:s,s:s}", "probe", p->name, "state", vs_state_name(p->state),
		       "reason", p->reason, "lost", p->lost));
}

static void tell_degraded(struct daemon *d)
{
	const struct vs_plan *plan = vs_live_plan(d->live);

	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		const struct vs_plan_probe *p = &plan->probes[i];

		if (p->state == VS_STATE_ACTIVE || strncmp(p->reason, "not needed", 10) == 0)
			continue;
		on_degraded(d, p);
	}
}

static int open_sinks(struct daemon *d, const struct vs_options *o)
{
	const struct vs_jsonl_options file = { .path = o->events,
					       .max_bytes = VS_JSONL_MAX_BYTES,
					       .keep = VS_JSONL_KEEP };
	bool named = strcmp(o->events, "-") != 0;
	struct vs_sink *sink = NULL;
	int r = vs_jsonl_open(&file, &sink);

	return r ? r : vs_sinks_add(d->sinks, named ? "file" : "stdout", named ? o->events : "stdout",
				    &vs_sink_jsonl, &sink);
}

static int set_up(struct daemon *d, const struct vs_options *o)
{
	const struct vs_live_ops live_ops = { .changed = on_change,
					      .disk_seen = on_disk,
					      .burst = on_burst,
					      .news = on_news,
					      .degraded = on_degraded,
					      .data = d };
	const struct vs_control_ops control_ops = { .begin = begin_report,
						    .finish = finish_report,
						    .cancel = cancel_report,
						    .data = d };
	char seq_path[256];

	(void)uname(&d->uts);
	(void)snprintf(seq_path, sizeof(seq_path), "%s.seq", o->control);
	if (vs_loop_new(&d->loop) || vs_loop_catch_signals(d->loop)) {
		vs_error("make the event loop: %s", strerror(errno));
		return VS_EXIT_FAILED;
	}
	if (vs_tell_new(d->loop, &d->live, emit, d, &d->tell) || vs_burst_new(&d->bursts) || vs_events_open(&d->events, seq_path) ||
	    vs_sinks_new(&d->sinks) || open_sinks(d, o) ||
	    vs_live_new(d->loop, &o->live, &live_ops, &d->live))
		return VS_EXIT_FAILED;
	if (!vs_tier_accepted(vs_live_plan(d->live), o->require_bpf))
		return VS_EXIT_PERMISSION;
	tell_degraded(d);
	if (vs_live_sample(d->live, &d->sample))
		return VS_EXIT_FAILED;
	memcpy(d->lost_told, d->sample.self.lost, sizeof(d->lost_told));
	if (vs_loop_every(d->loop, TICK_NS, on_tick, d) < 0 ||
	    vs_control_new(d->loop, o->control, &control_ops, &d->control))
		return VS_EXIT_FAILED;
	return VS_EXIT_OK;
}

int vs_cmd_run(const struct vs_options *o)
{
	/* On the stack: its cleanup runs last, whatever way out is taken. */
	__attribute__((cleanup(daemon_done))) struct daemon d = { .events.state_fd = -1 };
	pid_t other = 0;
	int r;

	if (!vs_permitted("run"))
		return VS_EXIT_PERMISSION;
	r = vs_control_lock(o->control, &other);
	if (r == -EBUSY)
		vs_error("run: a daemon is running already, pid %d; ask it with virtscope report, "
			 "or give this one another --control",
			 (int)other);
	if (r)
		return VS_EXIT_FAILED;
	r = set_up(&d, o);
	if (r)
		return r;
	(void)fprintf(stderr, "virtscope: ready\n");
	if (vs_loop_run(d.loop))
		return VS_EXIT_FAILED;
	vs_info("ended by signal %d", vs_loop_signal(d.loop));
	return VS_EXIT_OK;
}
