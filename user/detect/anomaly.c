/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "detect/anomaly.h"

#include "base/clock.h"
#include "detect/series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Of one series; the state of its detector follows. */
struct watch {
	struct vs_stretch stretch;
	double expected;	/* as compared, when there last was a value */
	uint64_t since_wall_ns; /* of the stretch; kept, as two clocks drift apart */
	_Alignas(8) unsigned char detector[];
};

struct vs_anomaly_detector {
	struct vs_detect_options options;
	const struct vs_detector_ops *ops;
	struct vs_series_set *series;
	struct vs_anomaly_stats stats;
	/* of the tick under way */
	const struct vs_sample *sample;
	vs_anomaly_fn fn;
	void *data;
};

static struct watch *watch_of(struct vs_series *s)
{
	return (struct watch *)s->state;
}

static void on_begin(void *data, struct vs_series *s)
{
	struct vs_anomaly_detector *d = data;

	d->ops->init(watch_of(s)->detector, vs_forms[s->kind].floor);
}

static void tell(struct vs_anomaly_detector *d, struct vs_series *s, const struct vs_series_of *of,
		 double value, double deviation, enum vs_stretch_step step,
		 enum vs_stretch_cause cause)
{
	struct watch *w = watch_of(s);
	const struct vs_form *form = &vs_forms[s->kind];
	uint64_t now = d->sample->mono_ns, ago = now - w->stretch.since_ns;
	struct vs_anomaly a = {.vm_uid = of->vm_uid,
			       .kind = s->kind,
			       .vnic = of->vnic,
			       .disk = of->disk,
			       .value = value,
			       .expected = vs_form_value(form, w->expected),
			       .deviation = deviation,
			       .peak = vs_form_value(form, w->stretch.peak),
			       .start = step == VS_STRETCH_START,
			       .cause = cause,
			       .duration_ns = ago};

	/* Not there and back again, which costs the last digit. */
	if (isfinite(value) && vs_form_compared(form, value) == w->stretch.peak)
		a.peak = value;
	if (a.start)
		w->since_wall_ns = d->sample->wall_ns - ago;
	a.since_wall_ns = w->since_wall_ns;
	if (of->vnic)
		a.direction = s->way == VS_DIR_RX ? "rx" : "tx";
	else
		a.op = vs_op_name(s->way);
	d->stats.starts += a.start;
	d->fn(d->data, &a);
}

static void on_value(void *data, struct vs_series *s, const struct vs_series_of *of, double value)
{
	struct vs_anomaly_detector *d = data;
	struct watch *w = watch_of(s);
	const struct vs_form *form = &vs_forms[s->kind];
	double x = vs_form_compared(form, value);
	enum vs_stretch_cause cause = VS_STRETCH_CALM;
	struct vs_verdict verdict;
	enum vs_stretch_step step;

	d->stats.values++;
	d->ops->judge(w->detector, x, &verdict);
	w->expected = verdict.expected;
	step = vs_stretch_value(&w->stretch, &d->options, form, &verdict, x, d->sample->mono_ns,
				&cause);
	if (w->stretch.has_lesson)
		d->ops->learn(w->detector, w->stretch.lesson);
	if (step == VS_STRETCH_NOTHING)
		return;
	tell(d, s, of, value, verdict.deviation, step, cause);
	if (step == VS_STRETCH_STOP && cause == VS_STRETCH_ACCEPTED)
		on_begin(d, s);
}

static void on_absent(void *data, struct vs_series *s, const struct vs_series_of *of)
{
	struct vs_anomaly_detector *d = data;
	enum vs_stretch_cause cause = VS_STRETCH_ABSENT;

	d->stats.absent++;
	if (vs_stretch_absent(&watch_of(s)->stretch, d->sample->mono_ns, &cause) == VS_STRETCH_STOP)
		tell(d, s, of, NAN, NAN, VS_STRETCH_STOP, cause);
}

static void on_end(void *data, struct vs_series *s, const struct vs_series_of *of)
{
	if (watch_of(s)->stretch.open)
		tell(data, s, of, NAN, NAN, VS_STRETCH_STOP, VS_STRETCH_ENDED);
}

int vs_anomaly_new(const struct vs_detect_options *options, struct vs_anomaly_detector **ret)
{
	struct vs_anomaly_detector *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->options = *options;
	d->ops = &vs_detector_ewma;
	*ret = d;
	return 0;
}

void vs_anomaly_free(struct vs_anomaly_detector **d)
{
	if (!*d)
		return;
	vs_series_free(&(*d)->series);
	free(*d);
	*d = NULL;
}

void vs_anomaly_configure(struct vs_anomaly_detector *d, const struct vs_detect_options *options)
{
	d->options = *options;
}

void vs_anomaly_tick(struct vs_anomaly_detector *d, const struct vs_sample *s, vs_anomaly_fn fn,
		     void *data)
{
	const struct vs_series_ops ops = {.state_size = sizeof(struct watch) + d->ops->state_size,
					  .begin = on_begin,
					  .value = on_value,
					  .absent = on_absent,
					  .end = on_end,
					  .data = d};

	if (!d->options.enabled) {
		vs_series_free(&d->series);
		return;
	}
	if (!d->series && vs_series_new(&ops, &d->series))
		return; /* with the next sample, perhaps */
	d->sample = s;
	d->fn = fn;
	d->data = data;
	vs_series_tick(d->series, s);
}

static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

json_t *vs_anomaly_data(const struct vs_anomaly *a)
{
	char since[VS_RFC3339__N];

	vs_clock_rfc3339(a->since_wall_ns, since);
	return json_pack("{s:s,s:s?,s:s?,s:s?,s:s?,s:s,s:o,s:o,s:o,s:o,s:s,s:s,s:f,s:s?}", "series",
			 vs_forms[a->kind].name, "vnic", a->vnic, "disk", a->disk, "direction",
			 a->direction, "op", a->op, "unit", vs_forms[a->kind].unit, "value",
			 number(a->value), "expected", number(a->expected), "deviation",
			 number(a->deviation), "peak", number(a->peak), "state",
			 a->start ? "start" : "stop", "since", since, "duration_s",
			 (double)a->duration_ns / 1e9, "cause",
			 a->start ? NULL : vs_stretch_cause_name(a->cause));
}

const char *vs_anomaly_severity(const struct vs_anomaly *a)
{
	return a->start ? "warning" : "info";
}

void vs_anomaly_stats(const struct vs_anomaly_detector *d, struct vs_anomaly_stats *ret)
{
	*ret = d->stats;
	ret->series = d->series ? vs_series_count(d->series, &ret->bytes) : 0;
}
