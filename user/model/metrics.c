/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/metrics.h"

#define ALWAYS true
#define DETAIL false

static uint64_t polling_ns(const struct vs_kvm_sample *kvm, const struct vs_kvm_names *names)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < names->n; i++)
		sum += names->exits[i] ? 0 : kvm->value[i];
	return sum;
}

/* Modulo 2^32, as its addends. */
static uint32_t disk_requests(const struct vs_disk_row *row)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < VS_HIST__N; i++)
		n += row->n[i][VS_PART_TOTAL];
	return n;
}

static struct vs_hist_view hist_view(const struct vs_hist *h)
{
	return (struct vs_hist_view){ .n = h->n, .stride = 1, .sum_ns = h->sum_ns };
}

static struct vs_hist_view part_view(const struct vs_disk_row *row, uint32_t part)
{
	uint64_t sum = part == VS_PART_TOTAL  ? row->total_ns :
		       part == VS_PART_DEVICE ? row->device_ns :
						row->total_ns - row->device_ns - row->unissued_ns;

	return (struct vs_hist_view){ .n = &row->n[0][part], .stride = 4, .sum_ns = sum };
}

/* Expressions know nothing but these; each uses some. */
#define VARIABLES(c)                                                          \
	const struct vs_vm_sample *vm __attribute__((unused)) = (c)->vm;      \
	const struct vs_thread_sample *thread __attribute__((unused)) = (c)->thread; \
	const struct vs_kvm_sample *kvm __attribute__((unused)) = (c)->kvm;   \
	const struct vs_kvm_names *names __attribute__((unused)) = (c)->names; \
	const struct vs_vnic_sample *nic __attribute__((unused)) = (c)->nic;  \
	const struct vs_drop_sample *drop __attribute__((unused)) = (c)->drop; \
	const struct vs_disk_sample *disk __attribute__((unused)) = (c)->disk; \
	const struct vs_virtq *queue __attribute__((unused)) = (c)->queue;    \
	const struct vs_self_sample *self __attribute__((unused)) = (c)->self; \
	const struct vs_program_sample *program __attribute__((unused)) = (c)->program; \
	const struct vs_map_sample *map __attribute__((unused)) = (c)->map;   \
	const struct vs_sink_sample *sink __attribute__((unused)) = (c)->sink; \
	const struct vs_own *own __attribute__((unused)) = (c)->own;          \
	uint64_t lost __attribute__((unused)) = (c)->lost, n __attribute__((unused)) = (c)->n; \
	uint32_t dir __attribute__((unused)) = (c)->dir, part __attribute__((unused)) = (c)->part

#define SET_COUNTER(value)   ret->u = (uint64_t)(value)
#define SET_COUNTER32(value) ret->u = (uint64_t)(value)
#define SET_GAUGE(value)     ret->u = (uint64_t)(value)
#define SET_SIGNED(value)    ret->u = (uint64_t)(int64_t)(value)
#define SET_INFO(value)	     ret->u = (value)
#define SET_HISTOGRAM(value) ret->hist = (value)

#define METRIC(collector, type, unit, level, name, has_it, value, help, source)              \
	static void get_##name(const struct vs_metric_context *c, struct vs_metric_value *ret) \
	{                                                                                    \
		VARIABLES(c);                                                                \
		ret->has = (has_it);                                                         \
		if (ret->has)                                                                \
			SET_##type(value);                                                   \
	}                                                                                    \
	static bool level_##name(const struct vs_metric_context *c)                          \
	{                                                                                    \
		VARIABLES(c);                                                                \
		return level;                                                                \
	}
#include "model/metrics.def"

const struct vs_metric vs_metrics[VS_METRIC__N] = {
#define METRIC(collector_, type_, unit_, when, name_, has_it, value, help_, source) \
	[VS_METRIC_##name_] = { .name = #name_,                                      \
				.help = help_,                                       \
				.collector = VS_COLLECT_##collector_,                \
				.type = VS_METRIC_##type_,                           \
				.unit = #unit_,                                      \
				.level = level_##name_,                              \
				.get = get_##name_ },
#include "model/metrics.def"
};
