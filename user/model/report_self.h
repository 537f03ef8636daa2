/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report_self.h - "self" of a report: what watching has cost, and what it missed.
 *
 * Layer:   model
 * State:   none
 * Threads: any
 */
#pragma once
#include "model/report.h"

/* Return: a new reference. */
json_t *vs_report_self(const struct vs_sample *older, const struct vs_sample *newer);
