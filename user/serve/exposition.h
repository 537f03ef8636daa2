/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exposition.h - series -> Prometheus' text format, version 0.0.4, in steps.
 *
 * A host with many VMs has a page of megabytes. The loop that takes the samples
 * also makes the page, so it is made a bit at a time; the series are frozen
 * meanwhile, and a sample that comes in between is taken in afterwards.
 *
 * Layer:   serve
 * State:   struct vs_exposition: the page so far, and where it goes on
 * Threads: one
 */
#pragma once
#include "serve/exports.h"

#include <stddef.h>

#define VS_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct vs_exposition;

/* Begins a page, and freezes @series. Return: 0 or -ENOMEM. Logs: never. */
int vs_exposition_new(struct vs_exports *series, struct vs_exposition **ret);
/* Thaws the series if the page is not done. */
void vs_exposition_free(struct vs_exposition **exposition);

/**
 * vs_exposition_step() - make more of the page.
 * @rows: how many rows of the store to write at most, some 5 us each; 0: all
 *
 * Return: 1 when there is more to do, 0 when the page is done and the series are
 * thawed, or -ENOMEM. Logs: never.
 */
int vs_exposition_step(struct vs_exposition *exposition, uint32_t rows);

/* Of a finished page. */
uint64_t vs_exposition_series(const struct vs_exposition *exposition);
/* Moves its text (not NUL-terminated) to the caller, who frees it. */
char *vs_exposition_take(struct vs_exposition *exposition, size_t *ret_len);
