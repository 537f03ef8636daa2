/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report.h - the report for people.
 *
 * Layer:   term
 * State:   none
 * Threads: any
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct vs_term_options {
	bool colour;
	bool histogram; /* print the latency histograms too */
};

/* Writes the object of schema virtscope.report/1. null is shown as "-". */
void vs_term_report(FILE *out, const json_t *report, const struct vs_term_options *options);

/* Colours are for terminals, unless NO_COLOR is set. */
bool vs_term_wants_colour(FILE *out);
