/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/page.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>

#define STEP_NS 2000000ull /* the loop is ours for so long at a time */
#define STEP_ROWS 32
#define IDLE_TICKS 120	 /* nobody has asked for so long: memory is given back */
#define KEEP_UP_TICKS 30 /* even then, so that no count wraps twice unseen */
#define FOLLOW_TICKS 5	 /* while there are scrapes: what ends between two of them counts, too */
#define WHOLE_TICKS 10

struct vs_page {
	struct vs_loop *loop;
	struct vs_exports *exports, *next; /* next: takes its place when no page is being made */
	struct vs_exposition *making;
	struct MHD_Response *response;		 /* of the sample of that number; or NULL */
	const struct vs_sample *sample;		 /* the last; NULL: it was missed */
	uint64_t number, taken, made, under_way; /* samples: last, in exports, in response, … */
	uint64_t asked;				 /* last sample for which anybody asked */
	uint64_t whole;
	uint64_t cpu_ns;
	int timer;
	int failed;    /* -errno of the last page */
	uint32_t held; /* pages that somebody still reads, and the last one */
	struct vs_own own;
	void (*ready)(void *data);
	void *data;
};

struct held {
	struct vs_page *page;
	char *text;
};

static void free_text(void *cls)
{
	struct held *h = cls;

	h->page->held--;
	free(h->text);
	free(h);
}

/* Return: the finished page as a response, or NULL. */
static struct MHD_Response *response_of(struct vs_page *p)
{
	struct held *h = calloc(1, sizeof(*h));
	struct MHD_Response *response;
	size_t len;

	if (!h)
		return NULL;
	h->page = p;
	h->text = vs_exposition_take(p->making, &len);
	response =
		MHD_create_response_from_buffer_with_free_callback_cls(len, h->text, free_text, h);
	if (!response) {
		free(h->text);
		free(h);
		return NULL;
	}
	p->held++;
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, VS_EXPOSITION_TYPE);
	return response;
}

static void let_go(struct vs_page *p)
{
	if (p->response)
		MHD_destroy_response(p->response);
	p->response = NULL;
}

static void take_in(struct vs_page *p)
{
	if (p->next && !p->making) {
		vs_exports_free(&p->exports);
		p->exports = p->next;
		p->next = NULL;
		p->taken = 0;
	}
	if (p->exports->frozen || !p->sample || p->taken == p->number)
		return;
	if (vs_exports_update(p->exports, p->sample, &p->own))
		vs_warn("metrics: no memory for all series, some are missing");
	p->taken = p->number;
}

static void on_step(void *data, int fd)
{
	struct vs_page *p = data;
	uint64_t begin = vs_clock_ns(CLOCK_THREAD_CPUTIME_ID), until = vs_clock_mono_ns() + STEP_NS;
	int r;

	(void)fd;
	if (!p->making)
		return;
	do
		r = vs_exposition_step(p->making, STEP_ROWS);
	while (r == 1 && vs_clock_mono_ns() < until);
	p->cpu_ns += vs_clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
	if (r == 1) {
		vs_loop_arm(p->timer, 0);
		return;
	}
	let_go(p);
	if (!r) {
		p->own.series = vs_exposition_series(p->making);
		p->response = response_of(p);
	}
	p->failed = p->response ? 0 : -ENOMEM;
	if (p->failed)
		vs_warn("metrics: no memory for the page of %zu VMs",
			p->sample ? p->sample->vms_n : 0);
	p->made = p->under_way;
	p->own.renders++;
	p->own.render_ns = p->cpu_ns;
	vs_exposition_free(&p->making);
	p->ready(p->data);
}

int vs_page_new(struct vs_loop *loop, const struct vs_exports_options *options,
		void (*ready)(void *data), void *data, struct vs_page **ret)
{
	struct vs_page *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->ready = ready;
	p->data = data;
	r = vs_exports_new(options, &p->exports);
	p->timer = r ? -1 : vs_loop_timer(loop, on_step, p);
	if (p->timer < 0) {
		vs_exports_free(&p->exports);
		free(p);
		return r ? r : -EMFILE;
	}
	*ret = p;
	return 0;
}

void vs_page_free(struct vs_page **page)
{
	struct vs_page *p = *page;

	if (!p)
		return;
	vs_exposition_free(&p->making);
	let_go(p);
	vs_loop_remove(p->loop, p->timer);
	vs_exports_free(&p->exports);
	vs_exports_free(&p->next);
	free(p);
	*page = NULL;
}

void vs_page_tick(struct vs_page *p, const struct vs_sample *sample)
{
	p->sample = sample;
	if (!sample)
		return;
	p->number++;
	if (p->number % (p->number - p->asked < IDLE_TICKS ? FOLLOW_TICKS : KEEP_UP_TICKS) == 0)
		take_in(p);
	if (p->number - p->asked > IDLE_TICKS)
		let_go(p);
}

int vs_page_configure(struct vs_page *p, const struct vs_exports_options *options)
{
	struct vs_exports *next = NULL;
	int r = vs_exports_new(options, &next);

	if (r)
		return r;
	vs_exports_free(&p->next);
	p->next = next;
	return 0;
}

uint64_t vs_page_number(const struct vs_page *p)
{
	return p->number;
}

static int begin(struct vs_page *p)
{
	if (p->held >= VS_PAGE_HELD__N + (p->response != NULL))
		return -EBUSY;
	take_in(p);
	if (vs_exposition_new(p->exports, &p->making))
		return -ENOMEM;
	p->under_way = p->number;
	p->cpu_ns = 0;
	vs_loop_arm(p->timer, 0);
	return -EAGAIN;
}

int vs_page_get(struct vs_page *p, uint64_t number, struct MHD_Response **ret)
{
	p->asked = p->number;
	if (p->made >= number && p->failed)
		return p->failed;
	if (p->made >= number && p->response) {
		*ret = p->response;
		return 0;
	}
	return p->making ? -EAGAIN : begin(p);
}

bool vs_page_is_read(const struct vs_page *p)
{
	return p->asked && p->number - p->asked <= IDLE_TICKS;
}

bool vs_page_wants_whole(struct vs_page *p)
{
	if (!vs_page_is_read(p) || p->number - p->whole < WHOLE_TICKS)
		return false;
	p->whole = p->number;
	return true;
}

struct vs_own *vs_page_own(struct vs_page *p)
{
	return &p->own;
}
