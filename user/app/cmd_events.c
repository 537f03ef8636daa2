/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_events.c - the running daemon's events, those that it remembers and those to come. */
#include "app/options.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "serve/ask.h"
#include "term/events.h"
#include "term/report.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

/* As many as tail -f begins with. */
#define FOLLOW_LAST 10

struct printing {
	bool json, colour, flush;
};

static int print_event(void *data, const char *text, size_t len, const json_t *event)
{
	const struct printing *p = data;
	const json_t *skipped = json_object_get(event, "skipped");

	if (skipped)
		vs_warn("%" JSON_INTEGER_FORMAT " events are no longer remembered and were skipped",
			json_integer_value(skipped));
	else if (p->json)
		(void)printf("%.*s\n", (int)len, text);
	else
		vs_term_event(stdout, event, p->colour);
	if (p->flush && fflush(stdout))
		return -errno; /* nobody reads us any more */
	return 0;
}

int vs_cmd_events(const struct vs_options *o)
{
	struct printing printing = { .json = o->json,
				     .colour = vs_term_wants_colour(stdout),
				     .flush = o->follow };
	struct vs_ask_events ask = { .follow = o->follow,
				     .vm = o->vm,
				     .type = o->type,
				     .since_seq = o->since_seq,
				     .last = o->lines };
	vs_autoclose int signals = -1;
	sigset_t set;
	int r;

	if (o->follow && !o->lines && !o->since_seq)
		ask.last = FOLLOW_LAST;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	r = vs_ask_events(o->control, &ask, signals, print_event, &printing);
	if (r == -ENOENT)
		vs_error("events: no daemon listens at '%s' (start one: systemctl start virtscope, or virtscope run; "
			 "or name another one's socket with --control)",
			 o->control);
	if (r == -EACCES)
		return VS_EXIT_PERMISSION;
	return r && r != -EPIPE ? VS_EXIT_FAILED : VS_EXIT_OK;
}
