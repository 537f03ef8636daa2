/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * deep.h - the report's part "deep" as text: who waited for a CPU, and who had it.
 *
 * Layer:   term
 * State:   none
 * Threads: any
 */
#pragma once
#include <jansson.h>
#include <stdio.h>

/* @deep: of a report whose strings are harmless to a terminal; NULL and null
 * write nothing. @bold, @plain: escape sequences, or "". */
void vs_term_deep(FILE *out, const json_t *deep, const char *bold, const char *plain);
