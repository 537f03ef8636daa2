/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.h - an event for people: one line.
 *
 * Layer:   term
 * State:   none
 * Threads: any
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Writes "TIME SEVERITY TYPE VM SENTENCE" of an object of schema virtscope.event/1.
 * What others wrote (names) steers no terminal. */
void vs_term_event(FILE *out, const json_t *event, bool colour);
