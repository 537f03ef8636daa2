/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/window.h"

#include <errno.h>
#include <stdlib.h>

struct vs_window {
	const struct vs_source *source;
	struct vs_window_own own; /* fill NULL: nobody */
	struct vs_sample before;
	struct vs_deep_sample deep_before;
	bool wants_deep, deep; /* asked for; to be had */
};

static int look(struct vs_window *w, struct vs_sample *ret)
{
	int r = vs_source_sample(w->source, VS_LOOK_WHOLE, ret);

	if (!r && w->own.fill)
		w->own.fill(w->own.data, &ret->self);
	return r;
}

int vs_window_open(const struct vs_source *source, bool deep, const struct vs_window_own *own,
		   struct vs_window **ret)
{
	struct vs_window *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->source = source;
	if (own)
		w->own = *own;
	w->wants_deep = deep;
	vs_source_window_open(source);
	r = look(w, &w->before);
	if (r) {
		vs_window_free(&w);
		return r;
	}
	w->deep = deep && !vs_source_deep_open(source, &w->before, &w->deep_before);
	*ret = w;
	return 0;
}

static json_t *deep_part(struct vs_window *w, const struct vs_sample *after)
{
	struct vs_deep_sample deep = { 0 };
	json_t *j = NULL;

	if (!w->deep)
		return json_null();
	if (!vs_source_deep_read(w->source, &deep))
		j = vs_deep_report(&w->deep_before, &deep, after);
	vs_deep_sample_done(&deep);
	return j ? j : json_null();
}

json_t *vs_window_report(struct vs_window *w, const struct vs_report_context *context)
{
	struct vs_sample after = { 0 };
	json_t *report = NULL;

	if (!look(w, &after))
		report = vs_report_build(&w->before, &after, context);
	if (report && w->wants_deep)
		(void)json_object_set_new(report, "deep", deep_part(w, &after));
	vs_sample_done(&after);
	return report;
}

void vs_window_free(struct vs_window **window)
{
	struct vs_window *w = *window;

	if (!w)
		return;
	if (w->deep)
		vs_source_deep_close(w->source);
	vs_source_window_close(w->source);
	vs_sample_done(&w->before);
	vs_deep_sample_done(&w->deep_before);
	free(w);
	*window = NULL;
}
