/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/report_vhost.h"

#include "base/histogram.h"

#include <stdlib.h>
#include <string.h>

/* Below this share of the window a wait is nobody's problem. */
#define NAMED_SHARE 0.01

static const struct vs_virtq none;

static json_t *delay(const struct vs_hist *newer, const struct vs_hist *older)
{
	json_t *o = json_object();
	struct vs_hist h;

	vs_hist_diff(newer, older, &h);
	(void)json_object_set_new(o, "count", json_integer((json_int_t)vs_hist_count(&h)));
	vs_report_set_distribution(o, &h);
	return o;
}

/* Tracepoints know workers, not virtqueues. */
static bool by_tracepoints(const struct vs_virtq *q)
{
	return q->direction == VS_DIR_BOTH;
}

/* What only attached functions can tell is null where they are not. */
static void set(json_t *into, const char *key, const struct vs_virtq *q, json_t *value)
{
	if (by_tracepoints(q)) {
		json_decref(value);
		value = json_null();
	}
	(void)json_object_set_new(into, key, value);
}

static uint64_t lower_of(uint32_t bucket)
{
	return bucket ? 1ull << (bucket - 1) : 0;
}

static uint64_t upper_of(uint32_t bucket)
{
	return bucket ? (1ull << bucket) - 1 : 0;
}

/* The count at quantile @q: the upper edge of its power of two, or the lower
 * one for the largest that can be ruled in. */
static json_t *quantile(const uint32_t n[VS_LOG2__N], uint64_t total, double q)
{
	uint64_t seen = 0;

	for (uint32_t i = 0; i < VS_LOG2__N; i++) {
		seen += n[i];
		if (total && (double)seen >= q * (double)total)
			return json_integer((json_int_t)upper_of(i));
	}
	return json_null();
}

/* How many at a time: buckets by powers of two. */
static json_t *sizes(const uint32_t newer[VS_LOG2__N], const uint32_t older[VS_LOG2__N], bool known)
{
	json_t *o, *rows;
	uint32_t n[VS_LOG2__N];
	uint64_t total = 0;

	if (!known)
		return json_null();
	o = json_object();
	rows = json_array();
	for (uint32_t i = 0; i < VS_LOG2__N; i++) {
		n[i] = newer[i] - older[i];
		total += n[i];
		if (n[i])
			(void)json_array_append_new(rows, json_pack("[I,I,I]", (json_int_t)lower_of(i),
								    (json_int_t)upper_of(i),
								    (json_int_t)n[i]));
	}
	(void)json_object_set_new(o, "count", json_integer((json_int_t)total));
	(void)json_object_set_new(o, "p50", quantile(n, total, 0.50));
	(void)json_object_set_new(o, "p99", quantile(n, total, 0.99));
	(void)json_object_set_new(o, "buckets", rows);
	return o;
}

static json_t *us(uint64_t newer, uint64_t older)
{
	return vs_report_us((double)(newer - older));
}

/* What kept packets waiting most, if anything did. */
static json_t *cause(const struct vs_virtq *n, const struct vs_virtq *o, double wall_ns)
{
	const struct {
		const char *name;
		double ns;
	} causes[] = {
		{ "guest_buffers", (double)(n->starved_ns - o->starved_ns) },
		{ "cpu", (double)(n->wait_cpu_ns - o->wait_cpu_ns) },
		{ "sibling", (double)(n->wait_sibling_ns - o->wait_sibling_ns) },
	};
	size_t most = 0;

	for (size_t i = 1; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (causes[i].ns > causes[most].ns)
			most = i;
	return causes[most].ns >= NAMED_SHARE * wall_ns ? json_string(causes[most].name) : json_null();
}

static json_t *waits(const struct vs_virtq *n, const struct vs_virtq *o, double wall_ns)
{
	uint64_t known = (n->wait_cpu_ns - o->wait_cpu_ns) + (n->wait_sibling_ns - o->wait_sibling_ns);
	uint64_t all = n->wait_ns - o->wait_ns;
	json_t *j = json_pack("{s:o,s:o}", "mostly", cause(n, o, wall_ns), "cpu_us",
			      us(n->wait_cpu_ns, o->wait_cpu_ns));

	set(j, "sibling_us", n, us(n->wait_sibling_ns, o->wait_sibling_ns));
	set(j, "other_us", n, vs_report_us(all > known ? (double)(all - known) : 0));
	set(j, "guest_buffers_us", n, us(n->starved_ns, o->starved_ns));
	set(j, "guest_buffers_times", n, json_integer((json_int_t)(n->starved - o->starved)));
	return j;
}

static json_t *ratio(uint64_t newer, uint64_t older, double wall_ns)
{
	return wall_ns > 0 ? json_real((double)(newer - older) / wall_ns) : json_null();
}

static json_t *row(const struct vs_virtq_sample *v, const struct vs_virtq_sample *was, double wall_ns)
{
	const struct vs_virtq *n = &v->row, *o = was ? &was->row : &none;
	uint64_t due = n->signals_due - o->signals_due, sent = n->signals - o->signals;
	json_t *j = json_object(), *signals = json_object();

	(void)json_object_set_new(j, "tid", json_integer(v->key.tid));
	set(j, "queue", n, json_integer(n->index));
	set(j, "direction", n, json_string(n->direction == VS_DIR_RX ? "rx" : "tx"));
	(void)json_object_set_new(j, "runs", json_integer((json_int_t)(n->runs - o->runs)));
	set(j, "requeued", n, json_integer((json_int_t)(n->unasked - o->unasked)));
	set(j, "kick_delay_us", n, delay(&n->kick, &o->kick));
	(void)json_object_set_new(j, "wake_delay_us", delay(&n->wake, &o->wake));
	(void)json_object_set_new(j, "busy_ratio", ratio(n->busy_ns, o->busy_ns, wall_ns));
	set(j, "poll_ratio", n, ratio(n->polled_ns, o->polled_ns, wall_ns));
	(void)json_object_set_new(
		j, "run_delay_us",
		json_pack("{s:o}", "sum",
			  by_tracepoints(n) ? us(n->wait_cpu_ns, o->wait_cpu_ns) :
					      us(v->worker_delay_ns, was ? was->worker_delay_ns : 0)));
	(void)json_object_set_new(j, "buffers", json_integer((json_int_t)(n->buffers - o->buffers)));
	(void)json_object_set_new(j, "buffers_per_run", sizes(n->batch, o->batch, true));
	(void)json_object_set_new(j, "ring_depth",
				  sizes(n->depth, o->depth, n->direction == VS_DIR_RX && n->ifindex));
	(void)json_object_set_new(signals, "sent", json_integer((json_int_t)sent));
	set(signals, "suppressed", n, json_integer((json_int_t)(due > sent ? due - sent : 0)));
	(void)json_object_set_new(j, "signals", signals);
	(void)json_object_set_new(j, "waits", waits(n, o, wall_ns));
	return j;
}

static int by_queue(const void *x, const void *y)
{
	const struct vs_virtq_sample *const *a = x, *const *b = y;

	if ((*a)->row.index != (*b)->row.index)
		return (*a)->row.index < (*b)->row.index ? -1 : 1;
	if ((*a)->row.direction != (*b)->row.direction)
		return (*a)->row.direction < (*b)->row.direction ? -1 : 1;
	return (*a)->key.tid < (*b)->key.tid ? -1 : (*a)->key.tid > (*b)->key.tid;
}

json_t *vs_report_vhost(const struct vs_sample *older, const struct vs_sample *newer, uint64_t vnic_uid)
{
	double wall_ns = (double)(newer->mono_ns - older->mono_ns);
	const struct vs_virtq_sample **rows = NULL;
	json_t *list = json_array();
	size_t n = 0;

	for (size_t i = 0; i < newer->virtqs_n; i++)
		n += newer->virtqs[i].vnic_uid == vnic_uid;
	rows = n ? calloc(n, sizeof(struct vs_virtq_sample *)) : NULL;
	n = 0;
	for (size_t i = 0; rows && i < newer->virtqs_n; i++)
		if (newer->virtqs[i].vnic_uid == vnic_uid)
			rows[n++] = &newer->virtqs[i];
	if (rows)
		qsort(rows, n, sizeof(struct vs_virtq_sample *), by_queue);
	for (size_t i = 0; rows && i < n; i++) {
		const struct vs_virtq_sample *o = vs_sample_find_virtq(older, rows[i]);

		/* a worker that had ended before is no news */
		if (rows[i]->ended && o && o->row.runs == rows[i]->row.runs)
			continue;
		(void)json_array_append_new(list, row(rows[i], o, wall_ns));
	}
	free(rows);
	return list;
}
