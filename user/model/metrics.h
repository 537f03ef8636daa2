/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metrics.h - metrics.def as a table: what each metric is, and how it is got
 * out of a sample.
 *
 * Layer:   model
 * State:   none
 * Threads: any
 */
#pragma once
#include "model/sample.h"

enum vs_collector {
#define COLLECTOR(id, labels, what) VS_COLLECT_##id,
#include "model/metrics.def"
	VS_COLLECT__N,
};

enum vs_metric_id {
#define METRIC(collector, type, unit, level, name, ...) VS_METRIC_##name,
#include "model/metrics.def"
	VS_METRIC__N,
};

enum vs_metric_type {
	VS_METRIC_COUNTER,
	VS_METRIC_COUNTER32, /* wraps at 2^32 */
	VS_METRIC_GAUGE,
	VS_METRIC_SIGNED,
	VS_METRIC_HISTOGRAM,
	VS_METRIC_INFO,
};

/* What the exporter knows of itself. */
struct vs_own {
	uint64_t vms;
	uint64_t http_requests, http_refused;
	uint64_t renders, render_ns, series;
};

/* What the expressions of metrics.def may use; the collector sets its own. */
struct vs_metric_context {
	const struct vs_vm_sample *vm;
	const struct vs_thread_sample *thread;
	const struct vs_kvm_sample *kvm;
	const struct vs_kvm_names *names;
	const struct vs_vnic_sample *nic;
	const struct vs_drop_sample *drop;
	const struct vs_disk_sample *disk;
	const struct vs_virtq *queue;
	const struct vs_self_sample *self;
	const struct vs_program_sample *program;
	const struct vs_map_sample *map;
	const struct vs_sink_sample *sink;
	const struct vs_own *own;
	uint64_t lost, n;
	uint32_t dir, part;
};

/* Counts of a histogram as they lie in a row: n[0], n[stride], … */
struct vs_hist_view {
	const uint32_t *n;
	size_t stride;
	uint64_t sum_ns;
};

struct vs_metric_value {
	bool has;
	uint64_t u; /* SIGNED: an int64_t */
	struct vs_hist_view hist;
};

struct vs_metric {
	const char *name, *help;
	const char *unit; /* as in metrics.def; "SECONDS": the value is in ns */
	enum vs_collector collector;
	enum vs_metric_type type;
	bool (*level)(const struct vs_metric_context *c); /* false: detail */
	void (*get)(const struct vs_metric_context *c, struct vs_metric_value *ret);
};

extern const struct vs_metric vs_metrics[VS_METRIC__N];
