/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor_libvirt.h - does libvirt answer, and does it agree with /proc?
 *
 * Layer:   app
 * State:   struct vs_doctor_libvirt: what was found
 * Threads: one
 */
#pragma once
#include "discover/libvirt.h"

#include <jansson.h>

struct vs_doctor_libvirt {
	struct vs_loop *loop;
	struct vs_libvirt *client;
	enum vs_libvirt_state state;
	char uri[256], reason[160];
	uint32_t domains, without_process;
	json_t *disagreements; /* texts */
};

/* Waits for 3 s at most. */
void vs_doctor_libvirt_ask(const char *uri, struct vs_doctor_libvirt *ret);
void vs_doctor_libvirt_done(struct vs_doctor_libvirt *l);

/* Return: a new reference. */
json_t *vs_doctor_libvirt_json(const struct vs_doctor_libvirt *l);
void vs_doctor_libvirt_print(const struct vs_doctor_libvirt *l);
