/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iter.h - read what a BPF iterator writes: rows of one size, all of them once.
 *
 * Layer:   discover
 * State:   none
 * Threads: any
 */
#pragma once
#include <stddef.h>

#define VS_ITER_ROW_MAX 128 /* bytes of a row */

/**
 * vs_iter_read() - one pass.
 * @link_fd: of the attached iterator
 * @size:    bytes of a row, at most VS_ITER_ROW_MAX
 *
 * Return: 0 or -errno; rows that came before an error were told.
 */
int vs_iter_read(int link_fd, size_t size, void (*fn)(void *data, const void *row), void *data);
