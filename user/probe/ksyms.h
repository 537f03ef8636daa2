/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksyms.h - kernel addresses -> function names.
 *
 * /proc/kallsyms is read through once per batch of unknown addresses and not
 * kept: 150,000 names for a handful of questions would be most of our memory.
 *
 * Layer:   probe
 * State:   struct vs_ksyms: the answers so far
 * Threads: one
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct vs_ksyms;

int vs_ksyms_new(struct vs_ksyms **ret);
void vs_ksyms_free(struct vs_ksyms **k);

/* Makes the names of @n addresses known; one pass (tens of ms) if any is new. */
void vs_ksyms_resolve(struct vs_ksyms *k, const uint64_t *addresses, size_t n);

/* A module came or went: what is asked of modules' addresses is looked up anew. */
void vs_ksyms_modules_changed(struct vs_ksyms *k);

/* Name of the function that holds @address, without what the compiler appended
 * after a dot; "" if unknown or not asked for by vs_ksyms_resolve() before.
 * Borrowed, lives as long as @k, also when the address gets another name. */
const char *vs_ksyms_name(struct vs_ksyms *k, uint64_t address);
