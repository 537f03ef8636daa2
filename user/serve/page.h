/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page.h - the page of /metrics: made when it is asked for, once per sample, and
 * shared by all who ask in that second.
 *
 * Layer:   serve
 * State:   struct vs_page: the series, the page under way, the last one
 * Threads: one; ready() is called inside the loop
 */
#pragma once
#include "base/loop.h"
#include "serve/exposition.h"

struct vs_page;
struct MHD_Response;

/* A page is on its way until its last reader has it: so many at a time, else a
 * reader who does not read could hold any amount of memory. */
#define VS_PAGE_HELD__N 4

/**
 * vs_page_new() - nothing to show yet.
 * @ready: a page has been made, or could not be: vs_page_get() says so
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_page_new(struct vs_loop *loop, const struct vs_exports_options *options,
		void (*ready)(void *data), void *data, struct vs_page **ret);
/* After all who were given a page have ended. */
void vs_page_free(struct vs_page **page);

/**
 * vs_page_tick() - a new sample is there; the page is made of it when asked for.
 * @sample: borrowed until the next call; NULL: it could not be taken
 */
void vs_page_tick(struct vs_page *page, const struct vs_sample *sample);

/* Other limits, buckets or details from the next page on. Return: 0 or -errno, then
 * all stays as it was. Logs: yes. */
int vs_page_configure(struct vs_page *page, const struct vs_exports_options *options);

/* Number of the sample that a page asked for now is made of; 0: there is none yet. */
uint64_t vs_page_number(const struct vs_page *page);

/**
 * vs_page_get() - the page of sample @number or a later one.
 * @ret: borrowed, until the loop runs again
 *
 * Return: 0; -EAGAIN, it is being made, ready() will be called; -EBUSY, too many
 * older ones are held by slow readers; or -ENOMEM.
 */
int vs_page_get(struct vs_page *page, uint64_t number, struct MHD_Response **ret);

/* Somebody has asked for it within the last two minutes. */
bool vs_page_is_read(const struct vs_page *page);

/* Somebody looks at what only a whole sample has (KVM's statistics), and the last
 * was 10 s ago. Asking counts as having got one. */
bool vs_page_wants_whole(struct vs_page *page);

/* The figures of who serves it, shown with the next page. Borrowed. */
struct vs_own *vs_page_own(struct vs_page *page);
