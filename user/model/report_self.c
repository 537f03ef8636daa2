/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/report_self.h"

#include "base/histogram.h"

#include <math.h>
#include <string.h>

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *programs(const struct vs_self_sample *n, const struct vs_self_sample *o,
			uint64_t *ret_recursion)
{
	json_t *j = json_object();

	*ret_recursion = 0;
	for (uint32_t i = 0; i < n->programs_n; i++) {
		const struct vs_program_sample *p = &n->programs[i];
		struct vs_program_sample was = { 0 };

		for (uint32_t k = 0; k < o->programs_n; k++)
			if (strcmp(o->programs[k].name, p->name) == 0)
				was = o->programs[k];
		/* attached anew since: another program of the same name */
		if (p->run_cnt < was.run_cnt || p->recursion_misses < was.recursion_misses)
			was = (struct vs_program_sample){ 0 };
		*ret_recursion += p->recursion_misses - was.recursion_misses;
		(void)json_object_set_new(
			j, p->name,
			json_pack("{s:I,s:I,s:I}", "run_time_ns",
				  (json_int_t)(p->run_time_ns - was.run_time_ns), "run_cnt",
				  (json_int_t)(p->run_cnt - was.run_cnt), "recursion_misses",
				  (json_int_t)(p->recursion_misses - was.recursion_misses)));
	}
	return j;
}

static json_t *losses(const struct vs_self_sample *n, const struct vs_self_sample *o,
		      uint64_t recursion)
{
	json_t *j = json_object();

	for (uint32_t i = 0; i < VS_LOST__N; i++)
		(void)json_object_set_new(j, vs_lost_name(i), count(n->lost[i] - o->lost[i]));
	(void)json_object_set_new(j, "recursion_misses", count(recursion));
	(void)json_object_set_new(j, "slots_full", count(n->slots_full - o->slots_full));
	return j;
}

static json_t *maps(const struct vs_self_sample *n)
{
	json_t *j = json_object();

	for (uint32_t i = 0; i < n->maps_n; i++) {
		const struct vs_map_sample *m = &n->maps[i];

		(void)json_object_set_new(
			j, m->name,
			json_pack("{s:o,s:I,s:o}", "used",
				  m->used == VS_MAP_UNCOUNTED ? json_null() : count(m->used), "max",
				  (json_int_t)m->max, "bytes",
				  m->bytes ? count(m->bytes) : json_null()));
	}
	return j;
}

static json_t *times(const struct vs_hist *newer, const struct vs_hist *older)
{
	json_t *j = json_object();
	struct vs_hist h;

	vs_hist_diff(newer, older, &h);
	(void)json_object_set_new(j, "count", count(vs_hist_count(&h)));
	vs_report_set_distribution(j, &h);
	return j;
}

/* Who has never ticked has no rhythm: a report of its own. */
static json_t *ticks(const struct vs_pace_sample *n, const struct vs_pace_sample *o)
{
	if (!n->ticks)
		return json_null();
	return json_pack("{s:I,s:I,s:o,s:o}", "count", (json_int_t)(n->ticks - o->ticks), "missed",
			 (json_int_t)(n->missed - o->missed), "late_us", times(&n->late, &o->late),
			 "took_us", times(&n->took, &o->took));
}

static json_t *sinks(const struct vs_self_sample *n, const struct vs_self_sample *o)
{
	json_t *j = json_object();

	for (uint32_t i = 0; i < n->sinks_n; i++) {
		const struct vs_sink_sample *s = &n->sinks[i];
		struct vs_sink_sample was = { 0 };

		for (uint32_t k = 0; k < o->sinks_n; k++)
			if (strcmp(o->sinks[k].name, s->name) == 0)
				was = o->sinks[k];
		/* taken out and added again since */
		if (s->written < was.written || s->lost < was.lost)
			was = (struct vs_sink_sample){ 0 };
		(void)json_object_set_new(j, s->name,
					  json_pack("{s:I,s:I}", "written",
						    (json_int_t)(s->written - was.written), "lost",
						    (json_int_t)(s->lost - was.lost)));
	}
	return j;
}

json_t *vs_report_self(const struct vs_sample *a, const struct vs_sample *b)
{
	const struct vs_self_sample *n = &b->self, *o = &a->self;
	uint64_t wall = b->mono_ns - a->mono_ns, recursion;
	json_t *progs = programs(n, o, &recursion);

	return json_pack("{s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "cpu_ratio",
			 wall ? json_real((double)(n->cpu_ns - o->cpu_ns) / (double)wall) :
				json_null(),
			 "rss_bytes", (json_int_t)n->rss_bytes, "sample_us",
			 n->took_ns ? vs_report_us((double)n->took_ns) : json_null(), "ticks",
			 ticks(&n->pace, &o->pace), "maps", maps(n), "events", sinks(n, o), "lost",
			 losses(n, o, recursion), "programs", progs);
}
