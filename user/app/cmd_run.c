/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_run.c - the daemon: source -> events -> sink, and the control socket. */
#include "app/daemon.h"
#include "app/notify.h"
#include "app/options.h"
#include "app/permission.h"
#include "app/settings.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/privilege.h"
#include "source/apart.h"
#include "source/local.h"
#include "source/window.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void cancel_report(void *data, void *request)
{
	struct vs_window *window = request;

	(void)data;
	vs_window_free(&window);
}

static void *begin_report(void *data, bool deep)
{
	struct vs_daemon *d = data;
	const struct vs_window_own own = { vs_daemon_fill_self, d };
	struct vs_window *window = NULL;

	return vs_window_open(&d->source, deep, &own, &window) ? NULL : window;
}

static json_t *finish_report(void *data, void *request)
{
	struct vs_daemon *d = data;
	struct vs_report_context context = { .host = d->uts.nodename,
					     .kernel = d->uts.release,
					     .running_as = "daemon" };
	json_t *report = vs_window_report(request, &context);

	cancel_report(data, request);
	return report;
}

/*
 * From here on the probe is a process of its own, and this one, which is about to
 * open files and sockets, may do nothing that other processes of its user may not.
 */
static int split(const struct vs_options *o, struct vs_apart **ret)
{
	struct vs_privilege_user user;
	int r;

	if (o->one_process)
		return 0;
	if (o->user && (r = vs_privilege_find_user(o->user, &user)))
		return r;
	/* VMs that are made up need no privilege. */
	r = o->synthetic.vms ? 0 : vs_apart_fork(&o->live, ret);
	if (!r)
		r = vs_privilege_drop(o->user ? &user : NULL, 0);
	if (!r && (r = vs_privilege_deny_calls()))
		vs_warn("run: filter system calls: %s, ignoring", strerror(-r));
	return r == -ENOSYS || r == -EINVAL ? 0 : r;
}

static int open_source(struct vs_daemon *d, struct vs_apart **apart, const struct vs_options *o)
{
	const struct vs_source_listener listener = vs_daemon_listener(d);

	if (o->synthetic.vms)
		return vs_synthetic_source(&o->synthetic, &listener, &d->source);
	if (*apart)
		return vs_apart_start(apart, d->loop, &listener, &d->source);
	return vs_local_new(d->loop, &o->live, &listener, &d->source);
}

static int set_up(struct vs_daemon *d, struct vs_apart **apart, const struct vs_options *o)
{
	struct vs_control_ops control_ops = { .begin = begin_report,
					      .finish = finish_report,
					      .cancel = cancel_report,
					      .data = d };
	const struct vs_http_ops http_ops = { .begin = begin_report,
					      .finish = finish_report,
					      .cancel = cancel_report,
					      .data = d };
	char seq_path[256];

	(void)uname(&d->uts);
	(void)snprintf(seq_path, sizeof(seq_path), "%s.seq", o->control);
	if (vs_loop_new(&d->loop) || vs_loop_catch_signals(d->loop) ||
	    vs_loop_on_signal(d->loop, SIGHUP, vs_daemon_reload, d)) {
		vs_error("make the event loop: %s", strerror(errno));
		return VS_EXIT_FAILED;
	}
	if (vs_burst_new(&d->bursts) || vs_anomaly_new(&o->detect, &d->anomalies) ||
	    vs_events_open(&d->events, seq_path) || vs_daemon_open_sinks(d, &d->settings->config) ||
	    open_source(d, apart, o))
		return VS_EXIT_FAILED;
	if (!o->synthetic.vms && !vs_tier_accepted(&d->source, o->require_bpf))
		return VS_EXIT_PERMISSION;
	if (vs_source_sample(&d->source, VS_LOOK_TICK, &d->sample))
		return VS_EXIT_FAILED;
	control_ops.memory = d->memory;
	memcpy(d->lost_told, d->sample.self.lost, sizeof(d->lost_told));
	vs_pace_init(&d->pace, vs_clock_mono_ns(), VS_DAEMON_TICK_NS);
	if (vs_loop_every(d->loop, VS_DAEMON_TICK_NS, vs_daemon_tick, d) < 0 ||
	    vs_control_new(d->loop, o->control, &control_ops, &d->control) ||
	    vs_http_new(d->loop, &o->http, &http_ops, &d->http))
		return VS_EXIT_FAILED;
	vs_daemon_fill_self(d, &d->sample.self);
	vs_http_tick(d->http, &d->sample);
	return VS_EXIT_OK;
}

int vs_cmd_run(const struct vs_options *given)
{
	/* On the stack: its cleanup runs last, whatever way out is taken. */
	__attribute__((cleanup(vs_daemon_done))) struct vs_daemon d = { .events.state_fd = -1 };
	__attribute__((cleanup(vs_apart_free))) struct vs_apart *apart = NULL;
	const struct vs_options *o;
	pid_t other = 0;
	int r;

	if (vs_settings_open(given, &d.settings))
		return VS_EXIT_USAGE;
	o = &d.settings->now;
	/* One that comes before the loop can serve it finds everything new anyway. */
	(void)signal(SIGHUP, SIG_IGN);
	if (!o->synthetic.vms && !vs_permitted("run"))
		return VS_EXIT_PERMISSION;
	if (split(o, &apart))
		return VS_EXIT_FAILED;
	r = vs_control_lock(o->control, &other);
	if (r == -EBUSY)
		vs_error("run: a daemon is running already, pid %d; ask it with virtscope report, "
			 "or give this one another --control",
			 (int)other);
	if (r)
		return VS_EXIT_FAILED;
	r = set_up(&d, &apart, o);
	if (r)
		return r;
	(void)fprintf(stderr, "virtscope: ready\n");
	vs_notify_ready();
	r = vs_loop_run(d.loop);
	vs_notify_stopping();
	if (r || d.failed)
		return VS_EXIT_FAILED;
	vs_info("ended by signal %d", vs_loop_signal(d.loop));
	return VS_EXIT_OK;
}
