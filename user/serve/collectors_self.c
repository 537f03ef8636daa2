/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collectors_self.c - what a sample and the exporter know of the daemon itself. */
#include "serve/exports.h"

#include <errno.h>
#include <stdio.h>

struct self_walk {
	struct vs_exports *series;
	const struct vs_sample *s;
	int r;
};

static void set(struct self_walk *w, enum vs_collector collector, const struct vs_metric_context *c,
		const char *label, const char *value)
{
	char escaped[VS_ESCAPED__N], text[VS_ESCAPED__N + 64] = "";

	if (*label)
		(void)snprintf(text, sizeof(text), "%s=\"%s\"", label,
			       vs_exports_escape(value, escaped));
	if (vs_exports_set(w->series, collector, &w->series->host.whole, text, false, c))
		w->r = -ENOMEM;
}

static void self(struct self_walk *w, const struct vs_own *exporter)
{
	static const char *const kinds[] = {"vm", "vnic", "disk", "reason"};
	const struct vs_self_sample *s = &w->s->self;
	struct vs_own own = *exporter;
	struct vs_metric_context c = {.self = s, .own = &own};
	uint64_t recursion = 0;
	char text[64];

	own.vms = HASH_COUNT(w->series->vms);
	set(w, VS_COLLECT_SELF, &c, "", "");
	set(w, VS_COLLECT_BUILD, &c, "version", VS_VERSION);
	for (uint32_t i = 0; i < s->programs_n; i++) {
		c.program = &s->programs[i];
		recursion += c.program->recursion_misses;
		set(w, VS_COLLECT_PROGRAM, &c, "program", c.program->name);
	}
	for (uint32_t i = 0; i < s->maps_n; i++) {
		c.map = &s->maps[i];
		set(w, VS_COLLECT_MAP, &c, "map", c.map->name);
	}
	for (uint32_t i = 0; i < s->sinks_n; i++) {
		c.sink = &s->sinks[i];
		set(w, VS_COLLECT_SINK, &c, "sink", c.sink->name);
	}
	for (uint32_t i = 0; i < s->probes_n; i++) {
		(void)snprintf(text, sizeof(text), "probe=\"%s\",state=\"%s\"", s->probes[i].name,
			       s->probes[i].state);
		if (vs_exports_set(w->series, VS_COLLECT_PROBE, &w->series->host.whole, text, false,
				   &c))
			w->r = -ENOMEM;
	}
	for (uint32_t i = 0; i < VS_LOST__N; i++) {
		c.n = s->lost[i];
		set(w, VS_COLLECT_LOST, &c, "reason", vs_lost_name(i));
	}
	c.n = recursion;
	set(w, VS_COLLECT_LOST, &c, "reason", "recursion_misses");
	c.n = s->slots_full;
	set(w, VS_COLLECT_LOST, &c, "reason", "slots_full");
	for (uint32_t i = 0; i < VS_FOLDED__N; i++) {
		c.n = w->series->folded[i];
		set(w, VS_COLLECT_FOLDED, &c, "kind", kinds[i]);
	}
}

int vs_exports_walk_self(struct vs_exports *series, const struct vs_sample *s,
			 const struct vs_own *own)
{
	struct self_walk w = {.series = series, .s = s};

	self(&w, own);
	return w.r;
}
