/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_report.c - one look: the daemon's, or our own. */
#include "app/options.h"
#include "app/permission.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "serve/ask.h"
#include "source/local.h"
#include "source/window.h"
#include "term/report.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>

static void say_ready(void)
{
	(void)fprintf(stderr, "virtscope: ready\n");
}

/* What the look cost everybody, to whoever asked for it. */
static void say_cost(const json_t *deep)
{
	const json_t *runs = json_object_get(json_object_get(deep, "cost"), "ns_per_run"), *ns;
	const char *name;
	bool any = false;

	if (!json_is_object(deep)) {
		vs_warn("deep window: could not be opened (see virtscope doctor), ignoring");
		return;
	}
	(void)fprintf(stderr, "virtscope: deep window: %zu programs attached for %.1f s",
		      json_object_size(runs), json_number_value(json_object_get(deep, "duration_s")));
	json_object_foreach((json_t *)runs, name, ns)
	{
		if (!json_is_number(ns))
			continue;
		(void)fprintf(stderr, "%s %s %.0f ns", any ? "," : "; a run of", name,
			      json_number_value(ns));
		any = true;
	}
	(void)fprintf(stderr, "%s\n", any ? "" : "; its cost is measured where "
						  "kernel.bpf_stats_enabled is 1");
}

static void print(const struct vs_options *o, const json_t *report)
{
	struct vs_term_options term = { .colour = vs_term_wants_colour(stdout),
					.histogram = o->histogram };

	if (o->deep)
		say_cost(json_object_get(report, "deep"));
	if (o->json) {
		/* A name may hold U+009B and the like, which steer a terminal. */
		size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;

		(void)json_dumpf(report, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER | ascii);
		(void)fputc('\n', stdout);
	} else {
		vs_term_report(stdout, report, &term);
	}
}

static void on_end(void *data, int fd)
{
	(void)fd;
	vs_loop_stop(data);
}

struct standalone {
	struct vs_loop *loop;
	struct vs_source source;
	struct vs_window *window;
};

static void standalone_done(struct standalone *s)
{
	vs_window_free(&s->window);
	vs_source_free(&s->source);
	vs_loop_free(&s->loop);
}

static int measure(const struct vs_options *o)
{
	vs_cleanup(standalone_done) struct standalone s = { 0 };
	struct vs_report_context context = { .running_as = "standalone" };
	struct utsname uts;
	json_t *report;
	int timer;

	if (vs_loop_new(&s.loop) || vs_loop_catch_signals(s.loop)) {
		vs_error("make the event loop: %s", strerror(errno));
		return VS_EXIT_FAILED;
	}
	if (o->synthetic.vms ? vs_synthetic_source(&o->synthetic, NULL, &s.source) :
			       vs_local_new(s.loop, &o->live, NULL, &s.source))
		return VS_EXIT_FAILED;
	if (!o->synthetic.vms && !vs_tier_accepted(&s.source, o->require_bpf))
		return VS_EXIT_PERMISSION;
	timer = vs_loop_timer(s.loop, on_end, s.loop);
	if (timer < 0 || vs_window_open(&s.source, o->deep, NULL, &s.window))
		return VS_EXIT_FAILED;
	say_ready();
	vs_loop_arm(timer, (uint64_t)(o->duration_s * 1e9));
	if (vs_loop_run(s.loop))
		return VS_EXIT_FAILED;
	(void)uname(&uts);
	context.host = uts.nodename;
	context.kernel = uts.release;
	report = vs_window_report(s.window, &context);
	if (!report)
		return VS_EXIT_FAILED;
	print(o, report);
	json_decref(report);
	return VS_EXIT_OK;
}

/* Return: an enum vs_exit, or -1 when there is no daemon to ask. */
static int ask_daemon(const struct vs_options *o)
{
	vs_autoclose int signals = -1;
	json_t *report = NULL;
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	r = vs_ask_report(o->control, o->duration_s, o->deep, say_ready, signals, &report);
	/* They stay blocked: a signal that ended the measurement is still pending.
	 * The loop of a report of our own catches them anew. */
	if (r == -ENOENT)
		return -1;
	if (r)
		return r == -EACCES ? VS_EXIT_PERMISSION : VS_EXIT_FAILED;
	print(o, report);
	json_decref(report);
	return VS_EXIT_OK;
}

int vs_cmd_report(const struct vs_options *o)
{
	/* What changes the probe cannot be asked of a daemon. */
	bool own = o->standalone || o->live.libvirt || o->live.denied || o->live.forced_n || o->sample_n ||
		   o->require_bpf || o->synthetic.vms;
	int status = own ? -1 : ask_daemon(o);

	if (status >= 0)
		return status;
	if (!o->synthetic.vms && !vs_permitted("report"))
		return VS_EXIT_PERMISSION;
	return measure(o);
}
