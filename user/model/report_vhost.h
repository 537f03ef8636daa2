/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report_vhost.h - the part of a report that speaks of vhost workers.
 *
 * Layer:   model
 * State:   none
 * Threads: any
 */
#pragma once
#include "model/report.h"

#include <jansson.h>

/* Rows of one vNIC, by queue, direction and tid. Return: an array, the caller's. */
json_t *vs_report_vhost(const struct vs_sample *older, const struct vs_sample *newer,
			uint64_t vnic_uid);
