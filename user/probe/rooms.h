/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rooms.h - the BPF maps that this process holds: their size and their memory.
 *
 * Layer:   probe
 * State:   none
 * Threads: any
 */
#pragma once
#include "model/sample.h"

/**
 * vs_rooms_read() - one row per name of a map of ours ("vs_..."); two of one name
 * are one row. How full they are is for others to say.
 *
 * Looks through all descriptors: for once in a while. Return: rows written.
 */
uint32_t vs_rooms_read(struct vs_map_sample *ret, uint32_t size);

/* Sets how many entries of map @name are in use; unknown names are ignored. */
void vs_rooms_use(struct vs_map_sample *rows, uint32_t n, const char *name, uint64_t used);
