/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_losses.c - what was lost since the last time, as events. */
#include "app/daemon.h"

static uint64_t recursion_misses(const struct vs_self_sample *self)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < self->programs_n; i++)
		n += self->programs[i].recursion_misses;
	return n;
}

/* Tells what was lost since *told, if anything, and moves *told on. */
static void tell_loss(struct vs_daemon *d, const char *reason, const char *help, uint64_t now,
		      uint64_t *told)
{
	/* Programs that were detached take their counts with them. */
	uint64_t n = now > *told ? now - *told : 0;

	*told = now;
	if (n)
		vs_daemon_emit(d, "self.lost", "warning", NULL,
			       json_pack("{s:s,s:I,s:s}", "reason", reason, "count",
					 (json_int_t)n, "help", help));
}

void vs_daemon_tell_losses(struct vs_daemon *d)
{
	const struct vs_self_sample *self = &d->sample.self;

	for (uint32_t i = 0; i < VS_LOST__N; i++)
		tell_loss(d, vs_lost_name(i), vs_lost_help(i), self->lost[i], &d->lost_told[i]);
	tell_loss(d, "recursion_misses", "a program was skipped: it was interrupted by itself",
		  recursion_misses(self), &d->recursion_told);
	tell_loss(d, "slots_full", "a VM or vNIC for which no slot was left", self->slots_full,
		  &d->slots_told);
}

void vs_daemon_fill_self(void *daemon, struct vs_self_sample *self)
{
	const struct vs_daemon *d = daemon;
	struct vs_sink_stats sink;

	self->pace = d->pace.sample;
	for (self->sinks_n = 0; self->sinks_n < VS_SINK__N &&
				vs_sinks_get(d->sinks, self->sinks_n, &sink); self->sinks_n++) {
		struct vs_sink_sample *s = &self->sinks[self->sinks_n];

		(void)snprintf(s->name, sizeof(s->name), "%s", sink.name);
		s->written = sink.written;
		s->lost = sink.lost;
	}
}
