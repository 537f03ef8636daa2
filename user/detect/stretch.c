/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "detect/stretch.h"

#include <math.h>
#include <string.h>

#define NS_PER_S 1000000000ull

const char *vs_stretch_cause_name(enum vs_stretch_cause cause)
{
	static const char *const names[] = {
#define X(name, label) [VS_STRETCH_##name] = label,
		VS_STRETCH_CAUSES(X)
#undef X
	};

	return names[cause];
}

static bool warm(const struct vs_stretch *s, const struct vs_detect_options *o, uint64_t now_ns)
{
	return s->values > VS_STRETCH_LEARNT && now_ns - s->first_ns >= o->warmup_s * NS_PER_S;
}

static bool held_off(const struct vs_stretch *s, const struct vs_detect_options *o, uint64_t now_ns)
{
	return s->stopped_ns && now_ns - s->stopped_ns < o->hold_off_s * NS_PER_S;
}

static void note_peak(struct vs_stretch *s, double x, double deviation)
{
	if (fabs(deviation) <= fabs(s->peak_deviation))
		return;
	s->peak = x;
	s->peak_deviation = deviation;
}

static enum vs_stretch_step stop(struct vs_stretch *s, uint64_t now_ns)
{
	s->open = false;
	s->below = 0;
	s->stopped_ns = now_ns;
	memset(s->last, 0, sizeof(s->last));
	return VS_STRETCH_STOP;
}

static enum vs_stretch_step in_stretch(struct vs_stretch *s, const struct vs_detect_options *o,
				       double excess, uint64_t now_ns, enum vs_stretch_cause *cause)
{
	if (excess > 1)
		s->below = 0;
	else if (excess < 0.5)
		s->below++;
	if (s->below >= VS_STRETCH_BELOW) {
		*cause = VS_STRETCH_CALM;
		return stop(s, now_ns);
	}
	if (now_ns - s->since_ns < o->accept_s * NS_PER_S)
		return VS_STRETCH_NOTHING;
	*cause = VS_STRETCH_ACCEPTED;
	s->first_ns = 0;
	s->values = 0;
	return stop(s, now_ns);
}

/* Puts @x among the last values, in place of one that has become a lesson. */
static void choose_lesson(struct vs_stretch *s, const struct vs_detect_options *o, double x,
			  double excess, uint64_t now_ns)
{
	uint32_t at = s->values % VS_STRETCH_OF;

	if (!warm(s, o, now_ns)) {
		s->has_lesson = true;
		s->lesson = x;
	} else if (s->last[at].to_learn) {
		/* In the hold-off no stretch can come of anything. */
		s->has_lesson = !s->last[at].over_ns || !held_off(s, o, now_ns);
		s->lesson = s->last[at].x;
	}
	s->last[at].x = x;
	s->last[at].over_ns = excess > 1 ? now_ns : 0;
	s->last[at].to_learn = warm(s, o, now_ns);
}

static enum vs_stretch_step look_back(struct vs_stretch *s, const struct vs_detect_options *o,
				      const struct vs_verdict *verdict, double x, double excess,
				      uint64_t now_ns)
{
	uint64_t since = now_ns;
	uint32_t over = 0;

	for (uint32_t i = 0; i < VS_STRETCH_OF; i++) {
		if (!s->last[i].over_ns)
			continue;
		over++;
		if (s->last[i].over_ns < since)
			since = s->last[i].over_ns;
	}
	if (over == (excess > 1)) /* what was before this value is over */
		s->peak_deviation = 0;
	if (excess > 1)
		note_peak(s, x, verdict->deviation);
	/* What began during the warm-up is told at its end. */
	if (excess <= 1 || over < VS_STRETCH_OVER || !warm(s, o, now_ns) || held_off(s, o, now_ns))
		return VS_STRETCH_NOTHING;
	s->open = true;
	s->since_ns = since;
	return VS_STRETCH_START;
}

enum vs_stretch_step vs_stretch_value(struct vs_stretch *s, const struct vs_detect_options *o,
				      const struct vs_form *form, const struct vs_verdict *verdict,
				      double x, uint64_t now_ns, enum vs_stretch_cause *cause)
{
	double wanted = form->falls ? fabs(verdict->deviation) : verdict->deviation;
	double excess = wanted / (o->threshold * form->strictness);

	if (!s->values++)
		s->first_ns = now_ns;
	s->value_ns = now_ns;
	s->has_lesson = false;
	if (s->open) {
		if (excess > 0)
			note_peak(s, x, verdict->deviation);
		return in_stretch(s, o, excess, now_ns, cause);
	}
	choose_lesson(s, o, x, excess, now_ns);
	return look_back(s, o, verdict, x, excess, now_ns);
}

enum vs_stretch_step vs_stretch_absent(struct vs_stretch *s, uint64_t now_ns,
				       enum vs_stretch_cause *cause)
{
	if (!s->open || now_ns - s->value_ns < VS_STRETCH_ABSENT_NS)
		return VS_STRETCH_NOTHING;
	*cause = VS_STRETCH_ABSENT;
	return stop(s, now_ns);
}
