/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detect_alarms.c - false alarms on series that are always the same, and what
 * looking at a series costs.
 *
 * usage: detect_alarms [SEEDS]
 *
 * Each line is a model of one series, SEEDS (1000) of them for a day each with
 * the default options; every start is a false alarm. The cost is that of all:
 * samples of 1,000 VMs with a vNIC and a disk each, from the second one on.
 */
#include "detect/anomaly.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400

/* xorshift64*, Vigna 2014 */
static double uniform(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return ((double)((*state * 2685821657736338717ull) >> 11) + 0.5) / 9007199254740992.0;
}

/* Box and Muller, 1958 */
static double normal(uint64_t *state)
{
	double u = uniform(state);

	return sqrt(-2 * log(u)) * cos(2 * M_PI * uniform(state));
}

struct memory {
	uint64_t random;
	double before;
	int left; /* of a burst */
};

static double log_normal(struct memory *m)
{
	return 300e-6 * exp2(0.5 * normal(&m->random));
}

/* One value in 50 is 30 times as high: a flush, a cache miss, garbage collection. */
static double spiky(struct memory *m)
{
	return log_normal(m) * (uniform(&m->random) < 0.02 ? 30 : 1);
}

/* Each value is mostly the one before: a correlation of 0.95 from second to second. */
static double sluggish(struct memory *m)
{
	m->before = 0.95 * m->before + sqrt(1 - 0.95 * 0.95) * normal(&m->random);
	return 300e-6 * exp2(0.5 * m->before);
}

/* Pareto with a tail index of 1.5: no variance. */
static double heavy(struct memory *m)
{
	return 100e-6 * pow(uniform(&m->random), -1 / 1.5);
}

/* A packet in a thousand is lost, of a thousand a second (normal for Poisson). */
static double lossy(struct memory *m)
{
	return fmax(0, 0.001 + sqrt(0.001 / 1000) * normal(&m->random));
}

/* None is lost, but a burst of 30 in 1,000 now and then. */
static double rare_loss(struct memory *m)
{
	return uniform(&m->random) < 0.001 ? 0.03 : 0;
}

/* Bursts of 40 MB/s for 3 s, one in 20 s on average, over 50 kB/s. */
static double bursts(struct memory *m)
{
	if (m->left)
		m->left--;
	else if (uniform(&m->random) < 0.05)
		m->left = 3;
	return m->left ? 40e6 * exp2(0.3 * normal(&m->random)) : 50e3;
}

/* An idle VM that downloads at 20 MB/s for 30 to 90 s, once an hour on average. */
static double downloads(struct memory *m)
{
	if (m->left)
		m->left--;
	else if (uniform(&m->random) < 1.0 / 3600)
		m->left = 30 + (int)(60 * uniform(&m->random));
	return m->left ? 20e6 : 5e3;
}

static const struct model {
	const char *name;
	enum vs_series_kind kind;
	double (*next)(struct memory *m);
} models[] = {
	{"residence, log-normal", VS_SERIES_RESIDENCE, log_normal},
	{"disk latency, log-normal with spikes of 30 times", VS_SERIES_DISK_LATENCY, spiky},
	{"disk latency, correlated from value to value", VS_SERIES_DISK_LATENCY, sluggish},
	{"residence, Pareto 1.5", VS_SERIES_RESIDENCE, heavy},
	{"drop ratio, 0.1 %", VS_SERIES_DROP_RATIO, lossy},
	{"drop ratio, none but rare bursts", VS_SERIES_DROP_RATIO, rare_loss},
	{"throughput, short bursts", VS_SERIES_THROUGHPUT, bursts},
	{"throughput, idle with downloads (not stationary)", VS_SERIES_THROUGHPUT, downloads},
};

static unsigned int starts_of(const struct model *model, uint64_t seed, void *state)
{
	const struct vs_detect_options o = VS_DETECT_DEFAULTS;
	const struct vs_form *form = &vs_forms[model->kind];
	struct vs_stretch stretch = {0};
	struct memory m = {.random = seed * 2654435761u + 1};
	unsigned int starts = 0;
	double sum = 0;

	vs_detector_ewma.init(state, form->floor);
	for (uint32_t t = 1; t <= DAY_S; t++) {
		enum vs_stretch_cause cause = VS_STRETCH_CALM;
		enum vs_stretch_step step;
		struct vs_verdict verdict;
		double x;

		sum += model->next(&m);
		if (t % form->window_s)
			continue;
		x = vs_form_compared(form, sum / form->window_s);
		sum = 0;
		vs_detector_ewma.judge(state, x, &verdict);
		step = vs_stretch_value(&stretch, &o, form, &verdict, x, t * 1000000000ull, &cause);
		if (stretch.has_lesson)
			vs_detector_ewma.learn(state, stretch.lesson);
		if (step == VS_STRETCH_STOP && cause == VS_STRETCH_ACCEPTED)
			vs_detector_ewma.init(state, form->floor);
		starts += step == VS_STRETCH_START;
	}
	return starts;
}

static double now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void nothing(void *data, const struct vs_anomaly *a)
{
	(void)data;
	(void)a;
}

static void cost(void)
{
	const struct vs_detect_options o = VS_DETECT_DEFAULTS;
	static const struct vs_disk_info info = {.name = "vda"};
	struct vs_anomaly_detector *d = NULL;
	struct vs_anomaly_stats stats;
	struct vs_sample s = {.mono_ns = 1000000000};
	uint64_t random = 1;
	double spent = 0, begin;
	int ticks = 60;

	if (vs_anomaly_new(&o, &d))
		return;
	for (uint64_t i = 1; i <= 1000; i++) {
		struct vs_vm_sample *vm = vs_sample_add_vm(&s);
		struct vs_vnic_sample *n = vs_sample_add_vnic(&s);

		vm->uid = i;
		vm->announced = true;
		*n = (struct vs_vnic_sample){.uid = 10000 + i,
					     .vm_uid = i,
					     .attached = true,
					     .has_link = true,
					     .has_drops = true,
					     .has_residence = true};
		for (uint32_t op = 0; op < 2; op++)
			*vs_sample_add_disk(&s) = (struct vs_disk_sample){
				.vm_uid = i, .dev = 1, .op = op, .info = &info};
	}
	for (int t = 0; t <= ticks; t++) {
		for (size_t i = 0; i < s.vnics_n; i++) {
			s.vnics[i].samples += 100;
			s.vnics[i].residence.n[30] += 100;
			s.vnics[i].residence.sum_ns += (uint64_t)(2e7 * (1 + uniform(&random)));
			for (int k = 0; k < 2; k++) {
				s.vnics[i].packets[k] += 1000;
				s.vnics[i].bytes[k] += (uint64_t)(1e7 * uniform(&random));
			}
		}
		for (size_t i = 0; i < s.disks_n; i++) {
			s.disks[i].row.bytes += 1000000;
			s.disks[i].row.n[50][VS_PART_TOTAL] += 100;
			s.disks[i].row.total_ns += (uint64_t)(2e7 * (1 + uniform(&random)));
		}
		s.mono_ns += 1000000000;
		begin = now_ns();
		vs_anomaly_tick(d, &s, nothing, NULL);
		if (t) /* the first makes everything */
			spent += now_ns() - begin;
	}
	vs_anomaly_stats(d, &stats);
	(void)printf("\n%zu series of 1000 VMs: %.0f ns and %zu bytes per series and sample\n",
		     stats.series, spent / ticks / (double)stats.series,
		     stats.bytes / stats.series);
	vs_anomaly_free(&d);
	vs_sample_done(&s);
}

int main(int argc, char **argv)
{
	unsigned long seeds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	void *state = calloc(1, vs_detector_ewma.state_size);

	if (!state || !seeds)
		return 1;
	(void)printf("%-52s %10s %10s\n", "false alarms of a series", "per day", "most");
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		unsigned int all = 0, most = 0;

		for (unsigned long seed = 1; seed <= seeds; seed++) {
			unsigned int n = starts_of(&models[i], seed, state);

			all += n;
			most = n > most ? n : most;
		}
		(void)printf("%-52s %10.4f %10u\n", models[i].name, (double)all / (double)seeds,
			     most);
		(void)fflush(stdout);
	}
	free(state);
	cost();
	return 0;
}
