/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detect_csv.c - a detector of virtscope over a series in a file, to score it
 * on labelled data of others; docs/DETECTION.md has the figures.
 *
 * usage: detect_csv [plain=WEIGHT] [log=SCALE] [floor=SHARE] [hold=SHARE] < FILE.csv > SCORES.csv
 *
 * FILE has a header and the columns timestamp, value; rows whose value is no
 * number are left out. Written is a column "score": the deviation, both ways.
 *   plain  instead by an exponential mean and standard deviation that learn from
 *          every value alike (EWMA and sigma limits: Roberts, Technometrics 1959)
 *   log    of values, as struct vs_form's scale
 *   floor  of the usual deviation, by the mean of the first values (0.01)
 *   hold   a score that is no higher than one before it is 0 for so long
 *          a time: one alarm of a stretch, and another if it gets worse
 * The first values, and the unit of hold, are NAB's probation: 15 % of the rows,
 * 750 at most.
 */
#include "detect/detect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
	double plain, log, floor, hold;
};

struct series {
	double *x;
	size_t n, size;
};

static int read_series(struct series *s)
{
	char *line = NULL, *end;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		char *at = strchr(line, ',');
		double x;

		if (!at)
			continue;
		at += at[1] == '"' ? 2 : 1;
		x = strtod(at, &end);
		if (end == at || !isfinite(x))
			continue;
		if (s->n == s->size) {
			s->size = s->size ? 2 * s->size : 4096;
			s->x = reallocarray(s->x, s->size, sizeof(*s->x));
			if (!s->x)
				return -1;
		}
		s->x[s->n++] = x;
	}
	free(line);
	return 0;
}

struct plain {
	double mean, variance;
	size_t n;
};

static double plain_score(struct plain *p, double weight, double x)
{
	double off = p->n ? x - p->mean : 0;
	double score = p->variance > 0 ? fabs(off) / sqrt(p->variance) : 0;

	weight = fmax(weight, 1.0 / (double)++p->n);
	p->mean += weight * off;
	p->variance = (1 - weight) * (p->variance + weight * off * off);
	return score;
}

static int score_series(const struct series *s, const struct settings *o)
{
	size_t probation = s->n * 15 / 100 < 750 ? s->n * 15 / 100 : 750, top_at = 0;
	size_t hold = (size_t)(o->hold * (double)probation);
	void *state = calloc(1, vs_detector_ewma.state_size);
	struct plain plain = {0};
	double mean = 0, top = 0;

	if (!state)
		return -1;
	for (size_t i = 0; i < probation; i++)
		mean += fabs(s->x[i]) / (double)probation;
	vs_detector_ewma.init(state, o->log > 0 ? o->floor : fmax(o->floor * mean, 1e-9));
	for (size_t i = 0; i < s->n; i++) {
		double x = o->log > 0 ? log2(1 + fmax(s->x[i], 0) / o->log) : s->x[i], score;
		struct vs_verdict verdict;

		if (o->plain > 0) {
			score = plain_score(&plain, o->plain, x);
		} else {
			vs_detector_ewma.judge(state, x, &verdict);
			vs_detector_ewma.learn(state, x);
			score = fabs(verdict.deviation);
		}
		if (i - top_at > hold)
			top = 0;
		if (hold && score <= top) {
			(void)puts("0");
			continue;
		}
		(void)printf("%.6g\n", score);
		top = score;
		top_at = i;
	}
	free(state);
	return 0;
}

int main(int argc, char **argv)
{
	struct settings o = {.floor = 0.01};
	const struct {
		const char *name;
		double *to;
	} known[] = {
		{"plain=", &o.plain}, {"log=", &o.log}, {"floor=", &o.floor}, {"hold=", &o.hold}};
	struct series s = {0};
	size_t k;

	for (int i = 1; i < argc; i++) {
		for (k = 0; k < 4; k++)
			if (strncmp(argv[i], known[k].name, strlen(known[k].name)) == 0)
				break;
		if (k == 4) {
			(void)fprintf(stderr,
				      "detect_csv: what is '%s'? See the head of its source.\n",
				      argv[i]);
			return 2;
		}
		*known[k].to = strtod(argv[i] + strlen(known[k].name), NULL);
	}
	(void)puts("score");
	if (read_series(&s) || score_series(&s, &o)) {
		(void)fprintf(stderr, "detect_csv: no memory\n");
		return 1;
	}
	free(s.x);
	return 0;
}
